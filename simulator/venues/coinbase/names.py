"""Coinbase's products: BTC-USD."""

from __future__ import annotations

from simulator.pairs import Pair


def product_of(pair: Pair) -> str:
    """Return the product's id."""
    return f"{pair.base}-{pair.quote}"
