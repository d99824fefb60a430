"""Coinbase's products: BTC-USD."""

from __future__ import annotations

from datastore.reference.pairs import Listed

VENUE = "coinbase"


class CoinbaseNames:
    """A channel is the product's id, base-quote."""

    def sub_of(self, pair: Listed) -> str:
        """Return the product's id."""
        return f"{pair.base}-{pair.quote}"

    def pair_of(self, sub: str) -> Listed | None:
        """Return the pair of a product's id; None if it is none."""
        base, dash, quote = sub.partition("-")
        return Listed(VENUE, base, quote) if base and dash and quote and "-" not in quote else None
