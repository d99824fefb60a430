"""The providers' lists of pairs: which markets may be asked for, and how their provider spells them.

A list is saved whole or not at all. A pair that the newest list lacks becomes inactive; its row stays. A pair is what
the provider spells: a market that has data never becomes another pair's, however alike their names are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import transaction

from actor_runtime.steady_time import SteadyNow
from datastore.db.queries import execute, fetch_all, fetch_value
from datastore.db.sql_files import statement
from datastore.models import Market, Pair
from datastore.reference.provider_registry import UnknownProvider, provider_of
from datastore.symbol import BadSymbol, parts_of

# A day, plus an hour in which the daily schedule runs.
MAX_LIST_AGE = timedelta(hours=25)
MAX_SIMILAR = 400  # candidates for a misspelt name
LOCK = "select pg_advisory_xact_lock(hashtext('pair'))"


class ImplausiblePairList(Exception):
    """The provider's list is empty, or lacks more than half of the pairs of the last one."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One pair in the provider's spelling; the steps of its prices and amounts are no part of what it is."""

    exchange: str
    base: str
    quote: str
    price_step: Decimal | None = field(default=None, compare=False, kw_only=True)
    amount_step: Decimal | None = field(default=None, compare=False, kw_only=True)

    @property
    def symbol(self) -> str:
        """Return our symbol for the pair: stETH and STETH are two."""
        return f"{self.exchange.lower()}:{self.base}-{self.quote}"


@dataclass(frozen=True, slots=True)
class PairListUpdate:
    """What a list changed; refused: why a pair cannot be asked for."""

    pairs: int
    new: int
    vanished: int
    spelled: int
    refused: dict[Listed, str]


def save_pair_list(provider: str, listed: Iterable[Listed]) -> PairListUpdate:
    """Save a provider's whole list; raise ImplausiblePairList, and change nothing, if it cannot be right.

    Pairs of venues whose markets another provider of the setting PROVIDERS would deliver are left to that one.
    """
    everything = [pair for pair in dict.fromkeys(listed) if _delivers(provider, pair.exchange.lower())]
    with transaction.atomic():
        execute(LOCK)  # two lists at once could deadlock on their rows
        spelled = _spell_markets(provider, everything)
        pairs, refused = _named(provider, everything)
        known = Pair.objects.filter(active=True, provider=provider).count()
        if not pairs or 2 * len(pairs) < known:
            raise ImplausiblePairList(f"the provider lists {len(pairs)} pairs, {known} are known")
        ((new, vanished),) = fetch_all(statement("pairs", "take"), _columns(pairs) | {"provider": provider})
    return PairListUpdate(len(pairs), new, vanished, spelled, refused)


def is_known() -> bool:
    """Return whether any list was ever saved."""
    return Pair.objects.exists()


def providers_due(providers: Sequence[str]) -> list[str]:
    """Return those of these providers of which no list was saved within the last day."""
    recent = Pair.objects.filter(seen_at__gt=SteadyNow() - MAX_LIST_AGE).values_list("provider", flat=True).distinct()
    saved = set(recent.order_by())
    return [provider for provider in providers if provider not in saved]


def symbols_spelled(texts: Sequence[str]) -> dict[str, list[str]]:
    """Return by text the symbols with its base and quote; a text is such as BTC/USD, btc-usd or coinbase:BTCUSD."""
    joined = {text: _joined(text) for text in texts}
    found: dict[str, list[str]] = {name: [] for name in joined.values()}
    for name, symbol in fetch_all(statement("pairs", "spelled"), {"joined": list(found)}):
        found[name].append(symbol)
    return {text: found[name] for text, name in joined.items()}


def similar_symbols(text: str) -> list[str]:
    """Return at most MAX_SIMILAR symbols, the likeliest first, that a misspelt text may mean."""
    exchange, colon, _ = text.rpartition(":")
    joined = _joined(text)
    values = {
        "joined": joined,
        "exchange": exchange.lower() if colon else None,
        "begins": _like(joined[:2]) + "%",
        "ends": "%" + _like(joined[-3:]),
        "begins_longer": _like(joined[:3]) + "%",
        "limit": MAX_SIMILAR,
    }
    return [symbol for (symbol,) in fetch_all(statement("pairs", "near"), values)]


def _joined(text: str) -> str:
    """Return BASEQUOTE of a text in any of the usual spellings."""
    pair = text.rpartition(":")[2]
    return pair.upper().replace("/", "").replace("-", "")


def _like(text: str) -> str:
    r"""Return a LIKE pattern that matches exactly this text: `%`, `_` and `\` escaped."""
    return text.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")


def _delivers(provider: str, venue: str) -> bool:
    """Return whether new markets of a venue would be this provider's."""
    try:
        return provider_of(venue, settings.PROVIDERS).name == provider
    except UnknownProvider:
        return False


def _spell_markets(provider: str, listed: list[Listed]) -> int:
    """Give the provider's markets its spelling if the list has them in another; return how many.

    It may be a market made before its pair was listed. One that has data keeps its base and quote.
    """
    exact, alike = {pair.symbol: pair for pair in listed}, defaultdict[str, list[Listed]](list)
    for pair in listed:
        alike[pair.symbol.upper()].append(pair)
    symbols, due = _market_spellings(provider), dict[str, Listed]()
    taken = set(symbols)
    for spelling, symbol in symbols.items():
        free = [pair for pair in alike[symbol.upper()] if pair not in taken]
        pair = exact.get(symbol) or (free[0] if len(free) == 1 else spelling)
        if pair not in taken:
            due[symbol] = pair
            taken.add(pair)
    # A statement of its own, in the order of ids as in every write: the next one sees what was written under the lock.
    list(Market.objects.select_for_update(no_key=True).filter(symbol__in=due).order_by("id"))
    return int(fetch_value(statement("pairs", "spell"), _columns(due)))


def _named(provider: str, listed: list[Listed]) -> tuple[dict[str, Listed], dict[Listed, str]]:
    """Return the pairs by symbol, and why the others have none; a market's pair has the market's symbol."""
    symbols = _market_spellings(provider)
    owners = {symbol: pair for pair, symbol in symbols.items()}
    found: dict[str, Listed] = {}
    refused: dict[Listed, str] = {}
    for pair in listed:
        symbol = symbols.get(pair, pair.symbol)
        try:
            parts_of(symbol)
        except BadSymbol as exc:
            refused[pair] = str(exc)
            continue
        owner = owners.setdefault(symbol, pair)
        if owner == pair:
            found[symbol] = pair
        else:
            refused[pair] = f"{symbol} is the name of {owner.exchange}'s {owner.base}-{owner.quote} here"
    return found, refused


def _market_spellings(provider: str) -> dict[Listed, str]:
    """Return the symbols of all markets of a provider by its spelling."""
    rows = (
        Market.objects.filter(provider=provider)
        .order_by("id")
        .values_list("provider_exchange", "provider_base", "provider_quote", "symbol")
    )
    return {Listed(exchange, base, quote): symbol for exchange, base, quote, symbol in rows}


def _columns(pairs: dict[str, Listed]) -> dict[str, list[Any]]:
    parts = [parts_of(symbol) for symbol in pairs]
    return {
        "symbols": list(pairs),
        "exchanges": [exchange for exchange, _, _ in parts],
        "bases": [base for _, base, _ in parts],
        "quotes": [quote for _, _, quote in parts],
        "joined": [f"{base}{quote}".upper() for _, base, quote in parts],
        "provider_exchanges": [pair.exchange for pair in pairs.values()],
        "provider_bases": [pair.base for pair in pairs.values()],
        "provider_quotes": [pair.quote for pair in pairs.values()],
        "price_steps": [pair.price_step for pair in pairs.values()],
        "amount_steps": [pair.amount_step for pair in pairs.values()],
    }
