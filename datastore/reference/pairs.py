"""The provider's list of pairs: which markets may be asked for, and how the provider spells them.

A list is saved whole or not at all. A pair that the newest list lacks becomes inactive; its row stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction

from actor_runtime.steady_time import SteadyNow
from datastore.db.queries import execute, fetch_all, fetch_value
from datastore.db.sql_files import statement
from datastore.models import Pair
from datastore.reference.markets import SYMBOL

# A day, plus an hour in which the daily schedule runs.
MAX_LIST_AGE = timedelta(hours=25)
MAX_SIMILAR = 400  # candidates for a misspelt name
LOCK = "select pg_advisory_xact_lock(hashtext('pair'))"


class ImplausiblePairList(Exception):
    """The provider's list is empty, or lacks more than half of the pairs of the last one."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One pair in the provider's spelling."""

    exchange: str
    base: str
    quote: str

    @property
    def symbol(self) -> str:
        """Return our symbol for the pair."""
        return f"{self.exchange.lower()}:{self.base.upper()}-{self.quote.upper()}"


@dataclass(frozen=True, slots=True)
class PairListUpdate:
    """What a list changed; unnamed: pairs that have no valid symbol, and second spellings of one symbol."""

    pairs: int
    new: int
    vanished: int
    spelled: int
    unnamed: int


def save_pair_list(listed: Iterable[Listed]) -> PairListUpdate:
    """Save the provider's whole list; raise ImplausiblePairList, and change nothing, if it cannot be right."""
    everything = list(listed)
    pairs = _by_symbol(everything)
    with transaction.atomic():
        execute(LOCK)  # two lists at once could deadlock on their rows
        known = Pair.objects.filter(active=True).count()
        if not pairs or 2 * len(pairs) < known:
            raise ImplausiblePairList(f"the provider lists {len(pairs)} pairs, {known} are known")
        ((new, vanished),) = fetch_all(statement("pairs", "take"), _columns(pairs))
        spelled = fetch_value(statement("pairs", "spell"))
    return PairListUpdate(len(pairs), new, vanished, spelled, len(everything) - len(pairs))


def is_known() -> bool:
    """Return whether any list was ever saved."""
    return Pair.objects.exists()


def is_due() -> bool:
    """Return whether no list was saved within the last day."""
    return not Pair.objects.filter(seen_at__gt=SteadyNow() - MAX_LIST_AGE).exists()


def symbols_spelled(text: str) -> list[str]:
    """Return the symbols with the base and quote of a text such as BTC/USD, btc-usd or coinbase:BTCUSD."""
    rows = fetch_all(statement("pairs", "spelled"), {"joined": _joined(text)})
    return [symbol for (symbol,) in rows]


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


def _by_symbol(listed: Iterable[Listed]) -> dict[str, Listed]:
    """Return the pairs by symbol; if two differ only by case, the upper-case one wins."""
    found: dict[str, Listed] = {}
    for pair in listed:
        symbol = pair.symbol
        is_upper = pair.base.isupper() and pair.quote.isupper()
        if SYMBOL.fullmatch(symbol) and (symbol not in found or is_upper):
            found[symbol] = pair
    return found


def _columns(pairs: dict[str, Listed]) -> dict[str, list[Any]]:
    parts = [symbol.replace(":", "-", 1).rsplit("-", 2) for symbol in pairs]
    return {
        "symbols": list(pairs),
        "exchanges": [exchange for exchange, _, _ in parts],
        "bases": [base for _, base, _ in parts],
        "quotes": [quote for _, _, quote in parts],
        "provider_exchanges": [pair.exchange for pair in pairs.values()],
        "provider_bases": [pair.base for pair in pairs.values()],
        "provider_quotes": [pair.quote for pair in pairs.values()],
    }
