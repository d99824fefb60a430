"""Binance's symbols: BTCUSDT, in lower case where they name a stream."""

from __future__ import annotations

from datastore.reference.pairs import Listed


class BinanceNames:
    """A channel is the symbol, base and quote without anything between; only the catalogue knows where one ends."""

    def sub_of(self, pair: Listed) -> str:
        """Return the symbol."""
        return f"{pair.base}{pair.quote}"

    def pair_of(self, sub: str) -> None:
        """Return None: the name alone does not tell."""
