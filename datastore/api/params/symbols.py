"""Which known market a name means: exchange:BASE-QUOTE, BASE/QUOTE, BASE-QUOTE or EXCHANGE:BASEQUOTE."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from itertools import zip_longest

from datastore.symbol import MAX_SYMBOL_LENGTH

# What a text may be: nothing of it steers a terminal or cannot be stored. A schema's texts have no half of a surrogate
# pair to begin with.
TEXT_PATTERN = r"^[^\x00-\x1f\x7f-\x9f]*$"
_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]*")
MAX_NEAR_NAMES = 5
MAX_NAMED_CHOICES = 20  # markets that a complaint about an ambiguous name lists


def is_text(text: str) -> bool:
    """Return whether text has no control characters, and can be stored."""
    return _TEXT.fullmatch(text) is not None


def market_text(text: str) -> str:
    """Return text as it may be looked up; raise ValueError with a sentence if no market can be spelled so."""
    if len(text) > MAX_SYMBOL_LENGTH or not is_text(text):
        raise ValueError("is not a market's name. Accepted: exchange:BASE-QUOTE, for example coinbase:BTC-USD.")
    return text


def matching_symbols(asked: str, known: Iterable[str]) -> list[str]:
    """Return the known symbols that may be spelled as asked, by name."""
    spelling = asked.upper().replace("/", "-")
    return sorted(symbol for symbol in known if spelling in _spellings(symbol))


def ambiguous(symbols: Sequence[str]) -> str:
    """Return the complaint about a name that may mean several markets."""
    more = len(symbols) - MAX_NAMED_CHOICES
    rest = f" and {more} more" if more > 0 else ""
    return f"is ambiguous. It could be: {', '.join(symbols[:MAX_NAMED_CHOICES])}{rest}."


def near_names(asked: str, symbols: Iterable[str]) -> list[str]:
    """Return the known symbols that look most like asked, best first, each judged by its nearest spelling.

    The cost allows a few hundred symbols.
    """
    owners: dict[str, list[str]] = {}
    for symbol in symbols:
        for spelling in _spellings(symbol):
            owners.setdefault(spelling, []).append(symbol)
    name = asked.upper().replace("/", "-")
    known = sorted(owners)
    # By the whole name and by the pair alone, in turn: the exchange may be what is wrong.
    names = dict.fromkeys([name, name.rpartition(":")[2]])
    matches = [get_close_matches(each, known, n=4 * MAX_NEAR_NAMES, cutoff=0.6) for each in names]
    in_turn = [match for turn in zip_longest(*matches) for match in turn if match]
    return list(dict.fromkeys(symbol for match in in_turn for symbol in owners[match]))[:MAX_NEAR_NAMES]


def _spellings(symbol: str) -> set[str]:
    exchange, _, pair = symbol.upper().partition(":")
    joined = pair.replace("-", "")
    return {f"{exchange}:{pair}", f"{exchange}:{joined}", pair, joined}
