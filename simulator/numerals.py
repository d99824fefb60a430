"""Decimal numbers as whole numbers of a small unit: exact, fast, and without floats."""

from __future__ import annotations

from decimal import Context, Decimal


def plain(value: int, places: int) -> str:
    """Return value * 10**-places as a JSON number without exponent or trailing zeros."""
    digits = str(value).rjust(places + 1, "0")
    whole, part = (digits[:-places], digits[-places:].rstrip("0")) if places else (digits, "")
    return f"{whole}.{part}" if part else whole


def fixed(value: int, places: int, least: int) -> str:
    """Return it with at least so many decimals, more only where its digits need them."""
    text = plain(value, places)
    have = len(text.partition(".")[2])
    return text if have >= least else f"{text}{'' if have else '.'}{'0' * (least - have)}"


def as_sent(value: int, places: int) -> str:
    """Return it as the real feed writes it: below a millionth with an exponent (1.2e-7), else plain."""
    text = plain(value, places)
    if not text.startswith("0.000000"):
        return text
    digits = str(value).rstrip("0")
    exponent = len(str(value)) - 1 - places
    return f"{digits[0]}{'.' + digits[1:] if digits[1:] else ''}e{exponent}"


def as_float(value: int, places: int) -> str:
    """Return it as a JSON 64-bit float, like the provider's volumes."""
    return repr(float(f"{value}e-{places}"))


def places_of(text: str) -> int:
    """Return the number of decimal places in a number's text, exponent included."""
    exponent = Decimal(text).as_tuple().exponent
    return max(0, -int(exponent))


def scaled(text: str, places: int) -> int:
    """Return a number's text as a whole number of 10**-places; the text must not have more places."""
    return int(Decimal(text).scaleb(places, Context(prec=len(text) + places)))
