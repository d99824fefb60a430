"""The write of history against a slow reference: pages in any order and batching, repeats, zeros, lost candles."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count, pairwise
from typing import Any

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from datastore.ingest.live_write import store_live
from datastore.models import Coverage, Market, ProviderCandle
from datastore.reference.markets import ensure_markets
from datastore.series.reader import read_series
from datastore.timeframes.timeframe import TIMEFRAMES
from streaming.history_records import HistoryRecord, ProviderSpan
from streaming.history_records import ProviderCandle as CandleRecord
from tests.support.datastore.answers import answered, candle, store
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.records import MINUTE, NOON, micros, moment, opened, trade, watermark
from tests.support.datastore.reference import LENGTH, SECONDS, Numbers, ReferenceMarket
from tests.support.datastore.scenes import check_series
from tests.support.examples import examples, rolled_back

pytestmark = pytest.mark.django_db

HOUR, DAY = 60 * MINUTE, 24 * 60 * MINUTE
FIRST = NOON - 12 * HOUR  # a midnight
KINDS = {seconds: kind for kind, seconds in SECONDS.items()}
numbered = count(1)
prices = st.decimals("0.01", "99", places=2)


@dataclass
class Answers:
    """What the provider is known to have said, bucket by bucket."""

    traded: set[tuple[int, int]]  # buckets in which we hold trades of our own, by (resolution, start)
    candles: dict[tuple[int, int], tuple[Decimal, Decimal]] = field(default_factory=dict)  # price and volume
    covered: set[tuple[int, int]] = field(default_factory=set)

    def trade(self, trades: list[Any]) -> None:
        """Take in trades of our own."""
        self.traded |= {(seconds, one.ts - one.ts % (seconds * 1_000_000)) for one in trades for seconds in KINDS}
        self.covered -= self.contradicted()

    def take(self, batch: list[HistoryRecord]) -> bool:
        """Follow a batch, its candles first; True if anything became different."""
        before = dict(self.candles), set(self.covered)
        for record in batch:
            if isinstance(record, CandleRecord):
                self.candles[record.resolution, record.open_time] = record.close, record.volume
        self.covered -= self.contradicted()
        for record in batch:
            if isinstance(record, ProviderSpan):
                self.take_span(record)
        return before != (self.candles, self.covered)

    def take_span(self, span: ProviderSpan) -> None:
        length = span.resolution * 1_000_000
        buckets = {(span.resolution, at) for at in range(span.start, span.stop, length)}
        if span.candles is not None and len(buckets & self.candles.keys()) < span.candles:
            return
        zeros = {(span.resolution, at) for at in span.zeros}
        self.covered |= buckets - (zeros & self.candles.keys()) - self.contradicted()

    def contradicted(self) -> set[tuple[int, int]]:
        """Return the buckets that cannot be quiet although the provider has no candle of them."""
        finer = {
            (coarser, at - at % (coarser * 1_000_000))
            for resolution, at in self.candles
            for coarser in KINDS
            if coarser > resolution
        }
        return (self.traded | finer) - self.candles.keys()


@st.composite
def pages(draw: Any) -> list[HistoryRecord]:
    """Return a page at one resolution around noon, now and then with a candle lost on its way."""
    resolution = draw(st.sampled_from(list(KINDS)))
    length = resolution * 1_000_000
    base = NOON if resolution == 60 else FIRST
    first, size = draw(st.integers(0, 8)), draw(st.integers(1, 6))
    start = base + first * length
    traded = draw(st.sets(st.integers(0, size - 1), max_size=4))
    rows: list[HistoryRecord] = [
        candle(start + at * length, str(draw(prices)), str(draw(prices)), resolution=resolution)
        for at in sorted(traded)
    ]
    zeros = tuple(start + at * length for at in range(size) if at not in traded and draw(st.booleans()))
    span = answered(start, start + size * length, zeros=zeros, candles=len(rows), resolution=resolution)
    lost = rows and draw(st.integers(0, 9)) == 0
    return [*(rows[1:] if lost else rows), span]


def of_market(records: list[HistoryRecord], market: Market) -> list[Any]:
    return [
        type(one)(**{**{name: getattr(one, name) for name in one.__struct_fields__}, "market": market.symbol})
        for one in records
    ]


def live_side(market: Market, minutes: list[int], until: int) -> list[Any]:
    """Return a feed of some minutes after noon, with trades."""
    trades = [
        trade(n, NOON + at * MINUTE, str(n), market=market.symbol, received_at=NOON) for n, at in enumerate(minutes, 2)
    ]
    opening = opened(1, NOON + 2 * MINUTE + 1, market=market.symbol)
    mark = watermark(len(trades) + 2, NOON + until * MINUTE, NOON + 2 * MINUTE + 1, market=market.symbol)
    return [opening, *trades, mark]


@examples(60)
@given(
    drawn=st.lists(pages(), min_size=1, max_size=6),
    data=st.data(),
    minutes=st.lists(st.integers(0, 8), max_size=4),
    until=st.integers(3, 9),
    timeframe=st.sampled_from(list(TIMEFRAMES)),
)
@rolled_back
def test_what_is_stored_and_read_is_what_the_provider_said(
    provider_time: ProviderTime,
    drawn: list[list[HistoryRecord]],
    data: st.DataObject,
    minutes: list[int],
    until: int,
    timeframe: str,
) -> None:
    (market,) = ensure_markets([f"coinbase:H{next(numbered)}-USD"])
    provider_time.set(now := FIRST + 20 * DAY)
    with transaction.atomic():
        store_live(lived := live_side(market, minutes, until))
    trades = [one for one in lived if hasattr(one, "price")]
    known = Answers(set())
    known.trade(trades)
    stream = of_market([record for page in drawn for record in page], market)
    stream += data.draw(st.sampled_from([[], stream[: len(stream) // 2], stream]))  # what a consumer reads again
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=4)))
    for low, high in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        version = Market.objects.get(pk=market.pk).version
        store(*stream[low:high])
        changed = known.take(stream[low:high])
        assert Market.objects.get(pk=market.pk).version == version + changed
        check_stored(market, known)
        if late := data.draw(st.sets(st.integers(0, 8), max_size=2)):
            more = [trade(99 + at, NOON + at * MINUTE, market=market.symbol, feed="tick-data/late") for at in late]
            with transaction.atomic():
                store_live(more)
            trades += [one for one in more if one.id not in {known_one.id for known_one in trades}]
            known.trade(more)
            check_stored(market, known)
    series = read_series(market, timeframe, moment(FIRST), moment(FIRST + 16 * DAY))
    check_series(series, reference(series, known, lived, trades, now), FIRST, FIRST + 16 * DAY)


def check_stored(market: Market, known: Answers) -> None:
    """Compare candles and coverage with the reference; spans neither touch nor overlap."""
    rows = ProviderCandle.objects.filter(market=market)
    stored = {(row.resolution, micros(row.open_time)): (row.close, row.volume) for row in rows}
    assert stored == known.candles
    spans = Coverage.objects.filter(market=market, source="provider").order_by("resolution", "start")
    assert all(one.resolution != two.resolution or one.stop < two.start for one, two in pairwise(spans))
    buckets = {
        (one.resolution, at)
        for one in spans
        for at in range(micros(one.start), micros(one.stop), one.resolution * 1_000_000)
    }
    assert buckets == known.covered


def reference(series: Any, known: Answers, lived: list[Any], trades: list[Any], now: int) -> ReferenceMarket:
    """Return the reference's view of everything."""
    numbers: dict[tuple[str, int], Numbers] = {
        (KINDS[resolution], at): (price, price, price, price, volume, price * volume, None)
        for (resolution, at), (price, volume) in known.candles.items()
    }
    provider = {
        kind: [(at, at + LENGTH[kind]) for resolution, at in known.covered if KINDS[resolution] == kind]
        for kind in LENGTH
    }
    live = [(lived[0].start, lived[-1].until)]
    return ReferenceMarket(micros(series.server_time), micros(series.watermark), True, trades, live, provider, numbers)
