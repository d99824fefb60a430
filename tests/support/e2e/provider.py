"""The simulator as the provider of a running platform: its candles, and the calls that it was asked."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from tests.support.e2e.platform import Platform

PERIODS = {"minute": 60, "hour": 3600, "day": 86_400}
PAGE = 2000  # rows of one answer


@dataclass(frozen=True, slots=True)
class Candle:
    """A candle of the provider's, exact, and whether anything was traded in it."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Candle:
        """Read a row of REST."""
        names = ("open", "high", "low", "close", "volumefrom", "volumeto")
        return cls(*(Decimal(row[name]) for name in names))

    @classmethod
    def of_answer(cls, row: list[Any]) -> Candle:
        """Read a row of our own API."""
        return cls(*(Decimal(value) for value in row[1:7]))

    @property
    def served(self) -> Candle:
        """Return it as we serve it: its range holds its close, and its open is the nearest price of that range."""
        high, low = max(self.high, self.close), min(self.low, self.close)
        return replace(self, open=min(max(self.open, low), high), high=high, low=low)


def parts_of(market: str) -> dict[str, str]:
    """Return a market as the provider's parameters name it."""
    exchange, _, pair = market.partition(":")
    base, _, quote = pair.partition("-")
    return {"fsym": base, "tsym": quote, "e": exchange}


def theirs(platform: Platform, market: str, period: str, first: int, last: int) -> dict[int, Candle]:
    """Return the provider's candles that begin in [first, last] (seconds) and in which something was traded."""
    step = PERIODS[period]
    found: dict[int, Candle] = {}
    while last >= first:
        count = min(PAGE, (last - first) // step)
        asked: dict[str, str | int] = {**parts_of(market), "toTs": last, "limit": max(1, count)}
        answer = platform.provider.get(f"/data/v2/histo{period}", params=asked)
        rows = json.loads(answer.text, parse_float=Decimal)["Data"]["Data"]
        found |= {row["time"]: Candle.of_row(row) for row in rows if first <= row["time"] and row["volumefrom"]}
        last -= (count + 1) * step
    return found


def joined(candles: Iterable[Candle]) -> Candle:
    """Return the candle that consecutive ones make."""
    rows = list(candles)
    return Candle(
        rows[0].open,
        max(row.high for row in rows),
        min(row.low for row in rows),
        rows[-1].close,
        sum((row.volume for row in rows), Decimal(0)),
        sum((row.quote_volume for row in rows), Decimal(0)),
    )


@dataclass(frozen=True, slots=True)
class Call:
    """One REST call: which candles it asked for, and how it was answered."""

    path: str
    market: str
    last: str
    limit: str
    status: int
    at: int


def calls(platform: Platform, market: str = "", since: int = 0) -> list[Call]:
    """Return our calls for candles in their order, of one market and since a time (ns) if these are named."""
    events = (json.loads(line) for line in platform.sent() if '"event":"asked"' in line)
    found = [_call(event) for event in events if event["query"].get("extraParams") and event["at"] >= since]
    return [call for call in found if market in ("", call.market)]


def _call(event: Mapping[str, Any]) -> Call:
    query = event["query"]
    market = f"{query['e'].lower()}:{query['fsym']}-{query['tsym']}"
    return Call(event["path"], market, query["toTs"], query["limit"], event["status"], event["at"])


def repeated(made: Iterable[Call]) -> dict[tuple[str, str, str], int]:
    """Return how often a page was asked for again: a page is known by its last candle."""
    counts = Counter((call.path, call.market, call.last) for call in made)
    return {page: count - 1 for page, count in counts.items() if count > 1}
