"""Which known market a person means: exchange:BASE-QUOTE, BASE/QUOTE, BASE-QUOTE or EXCHANGE:BASEQUOTE."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from datastore.api.errors import BadParameters, UnknownMarket

MAX_LENGTH = 100
NEAR_NAMES = 5


def market_text(text: str) -> str:
    """Return text as it may be looked up; raise ValueError with a sentence where no market is spelled so."""
    if len(text) > MAX_LENGTH or not text.isprintable():
        raise ValueError("is no market's name. Accepted: exchange:BASE-QUOTE, for example coinbase:BTC-USD.")
    return text


def choose(asked: str, known: Iterable[str]) -> str:
    """Return the one known symbol that asked spells.

    Raises UnknownMarket with near names where there is none, BadParameters with the choices where there are several.
    """
    symbols = sorted(known)
    wanted = asked.upper().replace("/", "-")
    meant = [symbol for symbol in symbols if wanted in _spellings(symbol)]
    if len(meant) > 1:
        raise BadParameters({"market": [f"is ambiguous. It could be: {', '.join(meant)}."]})
    if not meant:
        raise UnknownMarket(asked, near_names(asked, symbols))
    return meant[0]


def near_names(asked: str, symbols: Iterable[str]) -> list[str]:
    """Return the known symbols that look most like asked, best first, each judged by its nearest spelling."""
    owners: dict[str, list[str]] = {}
    for symbol in symbols:
        for spelling in _spellings(symbol):
            owners.setdefault(spelling, []).append(symbol)
    wanted = asked.upper().replace("/", "-")
    matches = get_close_matches(wanted, sorted(owners), n=4 * NEAR_NAMES, cutoff=0.6)
    return list(dict.fromkeys(symbol for match in matches for symbol in owners[match]))[:NEAR_NAMES]


def _spellings(symbol: str) -> set[str]:
    exchange, _, pair = symbol.upper().partition(":")
    joined = pair.replace("-", "")
    return {f"{exchange}:{pair}", f"{exchange}:{joined}", pair, joined}
