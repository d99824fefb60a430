"""A trade, a bar, and the protocol of a source of trades."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from simulator.numbering import Numbering
from simulator.pairs import Pair

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
MAX_DISCOVERY_DELAY_NS = 4 * SECOND_NS  # after a trade's exchange time


class Trade(msgspec.Struct, frozen=True, gc=False):
    """One trade; times in nanoseconds, price and amount in the source's units, and their text as sent."""

    ts: int
    rts: int
    id: str
    ccseq: int | None
    sell: bool
    price: int
    amount: int
    price_text: str
    amount_text: str


class Bar(NamedTuple):
    """A roll-up of trades, in the source's units; volumes are exact sums."""

    first: int
    high: int
    low: int
    close: int
    volume: int
    quote_volume: int
    trades: int


class Source(Protocol):
    """Trades of one market, for any time. Minutes are counted from 1970; `between` and `newest` go by discovery.

    numbers, aggregate_numbers: of its trades, and of the runs of trades of one time, side and price.
    """

    pair: Pair
    price_places: int
    amount_places: int
    numbers: Numbering
    aggregate_numbers: Numbering

    def between(self, after: int, until: int) -> list[Trade]:
        """Return the trades discovered in (after, until], in the order of their discovery."""

    def newest(self, count: int, until: int) -> list[Trade]:
        """Return the last `count` trades discovered by `until`, oldest first."""

    def trades(self, minute: int) -> list[Trade]:
        """Return the trades whose exchange time is in the minute, in the exchange's order."""

    def bar(self, minute: int) -> Bar | None:
        """Return the bar of a whole minute, None without trades."""

    def hour(self, hour: int) -> Bar | None:
        """Return the bar of a whole hour."""

    def day(self, day: int) -> Bar | None:
        """Return the bar of a whole day."""

    def traded_before(self, minute: int) -> int | None:
        """Return the last minute with a trade before this one; None before the market's first."""

    def stamps(self, minute: int) -> Sequence[int]:
        """Return the exchange times of a minute's trades, in order, in nanoseconds from its start."""

    def starts(self, minute: int) -> Sequence[int]:
        """Return the places in a minute at which an aggregate begins."""

    def part(self, minute: int, start: int, stop: int) -> list[Trade]:
        """Return a minute's trades at the places [start, stop) without their CCSEQ, in the exchange's order."""

    def number_of(self, id: int) -> int:
        """Return how many trades have a lower id; ids rise by one with each trade."""

    def id_at(self, number: int) -> int:
        """Return the id of the trade of this number, which must exist."""

    def cut_quote_volume(self, minute: int, places: int) -> int:
        """Return the sum of price times amount of a minute's trades, each cut to so many places."""


def aggregate_starts(rows: Sequence[tuple[int, bool, int]]) -> list[int]:
    """Return where the runs of equal rows (time, side, price) begin."""
    return [place for place, row in enumerate(rows) if not place or row != rows[place - 1]]


def roll_up(trades: Iterable[Trade]) -> Bar | None:
    """Return the bar of trades in the exchange's order, None without trades."""
    rows = list(trades)
    if not rows:
        return None
    prices = [trade.price for trade in rows]
    return Bar(
        first=prices[0],
        high=max(prices),
        low=min(prices),
        close=prices[-1],
        volume=sum(trade.amount for trade in rows),
        quote_volume=sum(trade.price * trade.amount for trade in rows),
        trades=len(rows),
    )


def join(bars: Iterable[Bar | None]) -> Bar | None:
    """Return consecutive bars as one, None if none has trades."""
    traded = [bar for bar in bars if bar is not None]
    if not traded:
        return None
    first, high, low, close, volume, quote_volume, trades = zip(*traded, strict=True)
    return Bar(first[0], max(high), min(low), close[-1], sum(volume), sum(quote_volume), sum(trades))
