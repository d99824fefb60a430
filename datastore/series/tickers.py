"""Many markets at a glance: the newest price and the last 24 hours of each, without a read per market.

The 24 hours are the 1,440 whole minutes before the open one, and the open one. They are what GET candles shows of the
same minutes: the same evidence cuts them into the same parts. Where one of our parts holds a whole hour, the stored
hour replaces its minutes, of which it is the exact roll-up. The provider's own hours never do: those are rounded.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from datastore.coverage.certificate import FUTURE, MISSING, PROVIDER, Evidence, base_runs
from datastore.db.queries import fetch_all, snapshot
from datastore.db.sql_files import statement
from datastore.reference.provider_registry import traits_of
from datastore.reference.staleness import stale_after
from datastore.timeframes.intervals import SECOND_US, Interval, union
from datastore.timeframes.timeframe import HOUR_S, MINUTE_S
from streaming.records import Micros

MINUTES_PER_DAY = 1440  # minutes


class TickerHead(NamedTuple):
    """What is known of one market; times in microseconds."""

    market_id: int
    symbol: str
    followed: bool
    watermark: Micros | None
    now: Micros
    known: bool
    behind: bool
    live_stop: Micros | None
    feed_open: bool
    provider: str

    @property
    def window(self) -> Interval:
        """Return the 24 hours."""
        opened = self.now // (MINUTE_S * SECOND_US) * MINUTE_S * SECOND_US
        return opened - MINUTES_PER_DAY * MINUTE_S * SECOND_US, opened + MINUTE_S * SECOND_US


class DayStatistics(NamedTuple):
    """What the 24 hours add up to, decimals as text; None: nothing was traded, or not given."""

    open: str | None = None
    high: str | None = None
    low: str | None = None
    close: str | None = None
    volume: str = "0"
    quote_volume: str | None = "0"
    trades: int | None = None
    change: str | None = None
    change_percent: str | None = None


class Part(NamedTuple):
    """A stretch of one stored series that the 24 hours of a market are made of."""

    market_id: int
    start: Micros
    stop: Micros
    resolution: int
    provider: bool


@dataclass(frozen=True, slots=True)
class Ticker:
    """One market; complete: every whole minute of the 24 hours is proven, or at least not known to be missing."""

    head: TickerHead
    complete: bool
    statistics: DayStatistics
    last: str | None
    last_trade: Micros | None


def ticker_heads(ids: Collection[int] | None = None) -> list[TickerHead]:
    """Return what is known of these markets, or of all that are followed, by symbol, in one statement."""
    asked = {"ids": None if ids is None else list(ids), "stale": stale_after()}
    return [TickerHead(*row) for row in fetch_all(statement("tickers", "heads"), asked)]


def read_tickers(ids: Collection[int] | None = None) -> list[Ticker]:
    """Return these markets, or all that are followed, by symbol: a handful of statements, whatever their number."""
    with snapshot():
        heads = ticker_heads(ids)
        if not heads:
            return []
        spans = _spans(heads)
        complete: dict[int, bool] = {}
        parts: list[Part] = []
        for head in heads:
            runs = base_runs(_evidence(head, spans[head.market_id]), MINUTE_S, *head.window)
            complete[head.market_id] = all(run.state != MISSING for run in runs)
            own = union((run.start, run.stop) for run in runs if run.source != PROVIDER and run.state != FUTURE)
            provided = union((run.start, run.stop) for run in runs if run.source == PROVIDER)
            parts += [part for span in own for part in _hours_and_minutes(head.market_id, span)]
            parts += [Part(head.market_id, *span, MINUTE_S, True) for span in provided]

        values = {
            "markets": [part.market_id for part in parts],
            "starts": [part.start for part in parts],
            "stops": [part.stop for part in parts],
            "resolutions": [part.resolution for part in parts],
            "provider": [part.provider for part in parts],
        }
        rows = fetch_all(statement("tickers", "figures"), values)
        statistics = {market_id: DayStatistics(*numbers) for market_id, *numbers in rows}

        newest = fetch_all(statement("tickers", "last"), {"ids": [head.market_id for head in heads]})

    tickers = []
    prices = {market_id: (price, traded) for market_id, price, traded in newest}
    for head in heads:
        found = statistics.get(head.market_id, DayStatistics())
        price, traded = prices[head.market_id]
        tickers.append(Ticker(head, complete[head.market_id], found, found.close or price, traded))
    return tickers


def _spans(heads: Sequence[TickerHead]) -> dict[int, list[tuple[int, Micros, Micros]]]:
    """Return (resolution, start, stop) of what is proven, by market."""
    windows = [head.window for head in heads]
    values = {
        "ids": [head.market_id for head in heads],
        "starts": [start for start, _ in windows],
        "stops": [stop for _, stop in windows],
    }
    found: dict[int, list[tuple[int, Micros, Micros]]] = defaultdict(list)
    for market_id, *span in fetch_all(statement("tickers", "coverage"), values):
        found[market_id].append(tuple(span))
    return found


def _evidence(head: TickerHead, spans: Sequence[tuple[int, Micros, Micros]]) -> Evidence:
    return Evidence(
        now=head.now,
        watermark=head.watermark,
        known=head.known,
        behind=head.behind,
        candles=traits_of(head.provider).candles,
        live=union((start, stop) for resolution, start, stop in spans if not resolution),
        provider={MINUTE_S: union((start, stop) for resolution, start, stop in spans if resolution)},
    )


def _hours_and_minutes(market_id: int, span: Interval) -> Iterator[Part]:
    """Yield a stretch of our own trades as its whole hours and the minutes around them."""
    start, stop = span
    length = HOUR_S * SECOND_US
    first, last = -(-start // length) * length, stop // length * length
    if first >= last:
        yield Part(market_id, start, stop, MINUTE_S, False)
        return
    edges = (start, first, MINUTE_S), (first, last, HOUR_S), (last, stop, MINUTE_S)
    yield from (Part(market_id, low, high, resolution, False) for low, high, resolution in edges if low < high)
