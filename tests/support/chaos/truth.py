"""What the simulator made, by its own pure function of seed and minute, to hold every answer against."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from simulator.market import Market
from simulator.pairs import Pair
from simulator.trades import Trade, join, roll_up

MINUTE_MS = 60_000
LENGTHS_MS = {"1m": MINUTE_MS, "5m": 5 * MINUTE_MS, "15m": 15 * MINUTE_MS, "1h": 60 * MINUTE_MS}
PROVEN = ("live", "provider", "merged")
TOLERANCE = Decimal("1e-12")  # of volumes that are the provider's floats


class Made(NamedTuple):
    """What a bucket holds, without its open: live candles have their first trade's, the provider's the close before."""

    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal


class Claim(NamedTuple):
    """A bucket that an answer called proven, and its candle; None: nothing was traded in it."""

    market: str
    timeframe: str
    start: int  # milliseconds
    state: str
    made: Made | None


@dataclass
class Truth:
    """The markets of a simulator with this rate and seed."""

    rate: float | None
    seed: int = 1
    _markets: dict[str, Market] = field(default_factory=dict)

    def made(self, market: str, timeframe: str, start: int, lacking: Collection[str] = ()) -> Made | None:
        """Return what the simulator made of a bucket that starts then (milliseconds); None without trades.

        lacking: ids of trades to leave out.
        """
        source = self._source(market)
        if lacking:
            bar = roll_up(trade for trade in self.trades(market, timeframe, start) if trade.id not in lacking)
        else:
            bar = join(source.bar(minute) for minute in minutes_of(timeframe, start))
        if bar is None:
            return None
        prices, amounts = source.price_places, source.amount_places
        high, low, close = (Decimal(value).scaleb(-prices) for value in (bar.high, bar.low, bar.close))
        quote = Decimal(bar.quote_volume).scaleb(-prices - amounts)
        return Made(high, low, close, Decimal(bar.volume).scaleb(-amounts), quote)

    def trades(self, market: str, timeframe: str, start: int) -> list[Trade]:
        """Return the trades of a bucket that starts then (milliseconds), in the exchange's order."""
        source = self._source(market)
        return [trade for minute in minutes_of(timeframe, start) for trade in source.trades(minute)]

    def _source(self, market: str) -> Market:
        if market not in self._markets:
            self._markets[market] = Market(Pair.parse(market), self.seed, self.rate)
        return self._markets[market]

    def agrees(self, claim: Claim, lacking: Collection[str] = ()) -> bool:
        """Return whether a claim says what the simulator made of its bucket; lacking: ids of trades to leave out."""
        made = self.made(claim.market, claim.timeframe, claim.start, lacking)
        if claim.made is None or made is None:
            return claim.made is made
        return claim.made[:3] == made[:3] and all(
            abs(ours - theirs) <= abs(theirs) * TOLERANCE for ours, theirs in zip(claim.made[3:], made[3:], strict=True)
        )

    def denies(self, claim: Claim) -> str | None:
        """Return what is false in a claim, None if it is true."""
        if self.agrees(claim):
            return None
        return f"{claim} but the simulator made {self.made(claim.market, claim.timeframe, claim.start)}"


def minutes_of(timeframe: str, start: int) -> range:
    """Return the minutes, counted from 1970, of a bucket that starts then (milliseconds)."""
    first = start // MINUTE_MS
    return range(first, first + LENGTHS_MS[timeframe] // MINUTE_MS)


def claims_of(market: str, timeframe: str, body: dict[str, Any]) -> Iterable[Claim]:
    """Yield what an answer (GET candles) claims of every bucket that it calls proven."""
    length, names = LENGTHS_MS[timeframe], body["columns"]
    rows = {row[0]: dict(zip(names, row, strict=True)) for row in body["candles"]}
    for part in body["coverage"]:
        if part["state"] not in PROVEN:
            continue
        for start in range(part["from"], part["to"], length):
            row = rows.get(start)
            traded = row is not None and row["trades"] != 0
            values = [Decimal(str(row[name])) for name in Made._fields] if row is not None and traded else None
            yield Claim(market, timeframe, start, part["state"], None if values is None else Made(*values))
