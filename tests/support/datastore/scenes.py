"""Random facts of one market, and a series held against the reference bucket by bucket."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import count, pairwise
from typing import Any

from django.db import transaction
from hypothesis import strategies as st

from datastore.ingest.live_write import store_live
from datastore.models import Coverage, Market, ProviderCandle
from datastore.series.reader import Series
from tests.support.datastore.records import MINUTE, NOON, SECOND, micros, moment
from tests.support.datastore.reference import LENGTH, SECONDS, Numbers, ReferenceMarket, floor_bucket, next_bucket, text

HOUR, DAY = 60 * MINUTE, 24 * 60 * MINUTE
FIRST = NOON - 12 * HOUR  # a midnight, Wednesday
numbered = count(1)
# Times that like to meet: whole days, hours and minutes, and just beside them.
times = st.builds(
    lambda hour, minute, rest: FIRST + hour * HOUR + minute * MINUTE + rest,
    st.integers(0, 60),
    st.one_of(st.sampled_from([0, 0, 0, 1, 30, 59]), st.integers(0, 59)),
    st.sampled_from([0, 0, 0, 1, 30 * SECOND, -1]),
)
spans = st.lists(st.tuples(times, times).map(lambda span: (min(span), max(span) + 1)), max_size=4)
# How long ago: most rules meet around the watermark, the provider's cache age and the open bucket.
ago = st.integers(0, 600).map(lambda seconds: seconds * SECOND)
prices = st.decimals("0.01", "99", places=2)


@st.composite
def provider_side(draw: Any) -> tuple[dict[str, list[tuple[int, int]]], dict[tuple[str, int], Numbers]]:
    """Return whole buckets that the provider answered for, and its candles in some of them."""
    covered: dict[str, list[tuple[int, int]]] = {}
    candles: dict[tuple[str, int], Numbers] = {}
    for kind, length in LENGTH.items():
        covered[kind] = []
        for low, high in draw(st.lists(st.tuples(times, times), max_size=2)):
            start, stop = low - low % length, high - high % length
            if start < stop:
                covered[kind].append((start, stop))
                for index in draw(st.lists(st.integers(0, (stop - start) // length - 1), max_size=3)):
                    candles[kind, start + index * length] = draw(provider_numbers)
    return covered, candles


@st.composite
def _provider_numbers(draw: Any) -> Numbers:
    values = draw(st.lists(prices, min_size=4, max_size=4))
    if draw(st.booleans()):  # else open and close may lie outside of the range, as they do in real answers
        low, opened, close, high = sorted(values)
    else:
        opened, close, low, high = *values[:2], *sorted(values[2:])
    return opened, high, low, close, draw(prices), draw(prices), None


provider_numbers = _provider_numbers()


def fill(market: Market, reference: ReferenceMarket) -> None:
    """Write the reference's facts into the database."""
    with transaction.atomic():
        store_live(reference.trades)
    Coverage.objects.bulk_create(
        [
            Coverage(
                market=market, source="live", feed=f"f{n}", start=moment(low), stop=moment(high), reason=f"end {n}"
            )
            for n, (low, high) in enumerate(reference.live)
        ]
    )
    Coverage.objects.bulk_create(
        [
            Coverage(
                market=market,
                source="provider",
                feed=f"{n}",
                resolution=SECONDS[kind],
                start=moment(low),
                stop=moment(high),
            )
            for kind, answers in reference.provider.items()
            for n, (low, high) in enumerate(answers)
        ]
    )
    ProviderCandle.objects.bulk_create(
        [
            ProviderCandle(
                market=market, resolution=SECONDS[kind], open_time=moment(start), version=1,
                open=row[0], high=row[1], low=row[2], close=row[3], volume=row[4], quote_volume=row[5],
            )
            for (kind, start), numbers in reference.provider_candles.items()
            for row in [[Decimal(text(number)) for number in numbers[:6]]]  # without needless zeros, as all is stored
        ]
    )  # fmt: skip
    newest = max((high for _, high in reference.live), default=None)
    Market.objects.filter(pk=market.pk).update(live_stop=newest and moment(newest))


def buckets_of(series: Series) -> Iterator[tuple[int, str]]:
    for segment in series.segments:
        at = micros(segment.start)
        while at < micros(segment.stop):
            yield at, segment.state
            at = next_bucket(series.timeframe, at)


@dataclass(frozen=True)
class Scene:
    now: int
    known: bool  # some stamp of the provider was seen
    live: list[tuple[int, int]]
    answers: dict[str, list[tuple[int, int]]]
    candles: dict[tuple[str, int], Numbers]
    traded: list[tuple[int, Decimal, Decimal]]
    bounds: tuple[int, int]


@st.composite
def wide_scenes(draw: Any) -> Scene:
    """Return facts of days, and a question about some of them."""
    now = draw(times)
    live = sorted({(low, min(high, now)) for low, high in draw(spans) if low < now})
    traded = draw(st.lists(st.tuples(times, prices, prices), max_size=25))
    known = draw(st.sampled_from([True, True, False]))
    answers, candles = draw(provider_side())
    return Scene(now, known, live, answers, candles, traded, draw(st.tuples(times, times)))


@st.composite
def near_scenes(draw: Any) -> Scene:
    """Return facts of the last minutes, and a question about them: here the watermark cuts."""
    now = draw(times)
    spans = draw(st.lists(st.tuples(ago, ago), max_size=2))
    live = sorted({(now - max(span) - 1, now - min(span)) for span in spans})
    minute = now - now % MINUTE
    answers = {
        "minute": [(minute - 10 * MINUTE, minute - draw(st.integers(0, 9)) * MINUTE)] if draw(st.booleans()) else []
    }
    candles = {("minute", low): draw(provider_numbers) for low, _ in answers["minute"]}
    traded = [(now - back * 25 * SECOND, Decimal(back + 1), Decimal(1)) for back in range(20)]
    return Scene(now, True, live, answers, candles, traded, (now - 20 * MINUTE, now + 5 * MINUTE))


def check_series(series: Series, reference: ReferenceMarket, start: int, stop: int) -> None:
    """Compare an answer with the reference: contiguous segments over the range, states, quiet buckets and rows."""
    timeframe = series.timeframe
    assert series.segments[0].start == series.start == moment(floor_bucket(timeframe, start))
    assert series.segments[-1].stop == series.stop
    assert stop <= micros(series.stop) <= next_bucket(timeframe, floor_bucket(timeframe, max(stop - 1, start)))
    assert all(one.stop == two.start for one, two in pairwise(series.segments))
    shown = list(buckets_of(series))
    expected = {at: reference.bucket(timeframe, at) for at, _ in shown}
    assert shown == [(at, state) for at, (state, *_) in expected.items()]
    rows = [
        (at // 1000, *map(text, numbers[:6]), numbers[6], source, closed)
        for at, (_, source, closed, numbers) in expected.items()
        if numbers
    ]
    assert [row[:10] for row in series.rows] == rows
    quiet = [
        at for at, (state, _, _, numbers) in expected.items() if not numbers and state in ("live", "provider", "merged")
    ]
    for segment in series.segments:
        start, stop = micros(segment.start), micros(segment.stop)
        assert segment.quiet == sum(start <= at < stop for at in quiet)
    assert series.complete == (not {"gap", "partial"} & {state for state, *_ in expected.values()})
    unsettled = [moment(at) for at, (_, _, closed, _) in expected.items() if not closed]
    assert series.complete_until == min(unsettled, default=series.stop)
