"""Binance's symbols: BTCUSDT, in lower case where they name a stream."""

from __future__ import annotations

from simulator.pairs import Pair


def symbol_of(pair: Pair) -> str:
    """Return the symbol."""
    return f"{pair.base}{pair.quote}"
