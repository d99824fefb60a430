"""OKX's instruments: BTC-USDT."""

from __future__ import annotations

from simulator.pairs import Pair


def instrument_of(pair: Pair) -> str:
    """Return the instrument's id."""
    return f"{pair.base}-{pair.quote}"
