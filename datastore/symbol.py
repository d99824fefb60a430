r"""What may be a market's name: exchange:BASE-QUOTE, in the same characters everywhere. Pure.

Base and quote are the provider's own, letter for letter: stETH and STETH are two coins. The exchange is the provider's
in lower case. Whatever a provider lists may be named, but for blanks, characters that cannot be seen, and those that
separate: `:`, `-` and `/` in a name, `,` between names, `~` in the provider's channels. Each place with a narrower
alphabet (addresses, topics) encodes the name.
"""

from __future__ import annotations

import re

# Python and PostgreSQL read this pattern alike; the table of markets has it as a constraint.
_UNSEEN = r"\u0001-\u0020\u007f-\u00a0\u00ad\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff\ufff0-\uffff"
_NAME = rf"[^{_UNSEEN}~:,/-]{{1,40}}"
_EXCHANGE = rf"[^{_UNSEEN}A-Z~:,/]{{1,40}}"
MAX_SYMBOL_LENGTH = 3 * 40 + 2
SYMBOL_PATTERN = f"^({_EXCHANGE}):({_NAME})-({_NAME})$"
_SYMBOL = re.compile(SYMBOL_PATTERN)


class BadSymbol(ValueError):
    """A symbol is exchange:BASE-QUOTE, the exchange in lower case, base and quote as the provider lists them."""

    def __init__(self, symbol: str) -> None:
        super().__init__(f"{symbol!r} is not exchange:BASE-QUOTE, such as coinbase:BTC-USD")


def parts_of(symbol: str) -> tuple[str, str, str]:
    """Return exchange, base and quote; raise BadSymbol."""
    match = _SYMBOL.fullmatch(symbol)
    if match is None or not symbol.isprintable() or match[1] != match[1].lower():
        raise BadSymbol(symbol)
    return match[1], match[2], match[3]
