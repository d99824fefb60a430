"""Typed environment variables: settings.py reads each one with these functions.

Each returns the value or the default, and raises ImproperlyConfigured with the variable's name and the fix.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from datastore.symbol import BadSymbol, parts_of

env = environ.Env()


def number(name: str, default: float, low: float, high: float) -> float:
    """Return a number between low and high."""
    raw = env.str(name, default=str(default))
    try:
        value = float(raw)
    except ValueError:
        raise ImproperlyConfigured(
            f"{name}={raw!r} is not a number. Set {name} between {low:g} and {high:g}."
        ) from None
    if not low <= value <= high:
        raise ImproperlyConfigured(f"{name}={raw!r} is out of range. Set {name} between {low:g} and {high:g}.")
    return value


def integer(name: str, default: int, low: int, high: int) -> int:
    """Return a whole number between low and high."""
    value = number(name, default, low, high)
    if not value.is_integer():
        raise ImproperlyConfigured(f"{name}={value:g} is not a whole number. Set {name} between {low} and {high}.")
    return int(value)


def given_integer(name: str, low: int, high: int) -> int | None:
    """Return a whole number between low and high, None if the variable is not set."""
    return integer(name, low, low, high) if name in env.ENVIRON else None


def flag(name: str, default: bool) -> bool:
    """Return yes or no; a variable that is set but empty means no."""
    raw = env.str(name, default="1" if default else "0").lower()
    if raw not in {"1", "0", "true", "false", "yes", "no", "on", "off", ""}:
        raise ImproperlyConfigured(f"{name}={raw!r} is neither yes nor no. Set {name} to 1 or 0.")
    return raw in {"1", "true", "yes", "on"}


def choice(name: str, default: str, choices: tuple[str, ...]) -> str:
    """Return one of the choices."""
    value: str = env.str(name, default=default)
    if value not in choices:
        raise ImproperlyConfigured(f"{name}={value!r} is unknown. Set {name} to one of: {', '.join(choices)}.")
    return value


def names(name: str, default: list[str], known: Sequence[str]) -> list[str]:
    """Return a list of known names, at least one, each once."""
    found: list[str] = [item.strip() for item in env.list(name, default=default) if item.strip()]
    unknown = [item for item in found if item not in known]
    if unknown or not found:
        said = f"names {unknown[0]!r}, which is unknown" if unknown else "is empty"
        raise ImproperlyConfigured(f"{name} {said}. Set {name} to one or more of: {', '.join(known)}.")
    return list(dict.fromkeys(found))


def url(name: str, default: str, schemes: tuple[str, ...]) -> str:
    """Return a server's address; errors do not repeat it, because it may hold a password."""
    value: str = env.str(name, default=default).strip()
    if value and not value.startswith(tuple(f"{scheme}://" for scheme in schemes)):
        raise ImproperlyConfigured(f"{name} must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}.")
    return readable(name, value)


def readable(name: str, value: str) -> str:
    """Return an address that every library reads alike: what it takes for the port must not be half of a password."""
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises ValueError
        misread = "@" in parts.path + parts.query + parts.fragment or parts.netloc.count("@") > 1
    except ValueError:
        misread = True
    if misread:
        raise ImproperlyConfigured(
            f"{name} cannot be read: its port is not one, or its password holds a character that ends it. Write "
            "/ as %2F, # as %23, ? as %3F, @ as %40, : as %3A, [ as %5B and % as %25 there."
        )
    return value


def markets(name: str, default: list[str]) -> list[str]:
    """Return a list of markets, at least one, each once."""
    symbols: list[str] = [symbol.strip() for symbol in env.list(name, default=default) if symbol.strip()]
    for symbol in symbols:
        try:
            parts_of(symbol)
        except BadSymbol:
            example = "coinbase:BTC-USD,kraken:BTC-EUR"
            raise ImproperlyConfigured(f"{name} names {symbol!r}. Write markets as {example}.") from None
    if not symbols:
        raise ImproperlyConfigured(f"{name} is empty. Name at least one market, for example coinbase:BTC-USD.")
    return list(dict.fromkeys(symbols))
