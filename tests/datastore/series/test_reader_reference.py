"""The read against the reference, on random coverage, trades, clocks and answers of the provider."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from datastore.api.udf.history import BAR
from datastore.models import Market
from datastore.reference.markets import ensure_markets
from datastore.series import stored_rows
from datastore.series.export import Export, Question
from datastore.series.reader import Series, read_series
from datastore.series.row_format import CSV, EXACT, NDJSON, NUMBERS
from datastore.timeframes.timeframe import TIMEFRAMES
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.records import SECOND, micros, moment, trade
from tests.support.datastore.reference import ReferenceMarket, holds
from tests.support.datastore.scenes import (
    DAY,
    FIRST,
    Scene,
    check_series,
    fill,
    near_scenes,
    numbered,
    spans,
    times,
    wide_scenes,
)
from tests.support.examples import examples, rolled_back

pytestmark = pytest.mark.django_db

STALE = 90 * SECOND


def check_reason(series: Series, reference: ReferenceMarket) -> None:
    """A hole is explained by the last live span that ended before it began."""
    for segment in series.segments:
        if segment.incomplete:
            at = micros(segment.start)
            while any(low <= at < high for low, high in reference.live):
                at = max(high for low, high in reference.live if low <= at < high)
            newest = max((high for _, high in reference.live if high <= at), default=None)
            expected = {f"end {index}" for index, (_, high) in enumerate(reference.live) if high == newest}
            assert segment.reason in (expected or {"before the feed began"})


@examples(120)
@given(timeframe=st.sampled_from(list(TIMEFRAMES)), scene=wide_scenes())
@rolled_back
def test_days_equal_the_reference_bucket_by_bucket(provider_time: ProviderTime, timeframe: str, scene: Scene) -> None:
    check(provider_time, timeframe, scene)


@examples(120)
@given(timeframe=st.sampled_from(["1m", "3m", "5m", "1h", "2h", "1d"]), scene=near_scenes())
@rolled_back
def test_the_last_minutes_equal_the_reference(provider_time: ProviderTime, timeframe: str, scene: Scene) -> None:
    check(provider_time, timeframe, scene)


def check(provider_time: ProviderTime, timeframe: str, scene: Scene) -> None:
    """Write the scene's facts, ask its question, and compare the answer with the reference's."""
    market = ensure_markets([f"coinbase:M{next(numbered)}-USD"])[0]
    trades = [
        trade(n, ts, str(price), str(amount), market=market.symbol, seq=n % 3 or None, received_at=ts)
        for n, (ts, price, amount) in enumerate(scene.traded, 1)
    ]
    reference = ReferenceMarket(scene.now, None, scene.known, trades, scene.live, scene.answers, scene.candles)
    provider_time.set(FIRST - DAY)  # so that storing leaves no later watermark behind
    fill(market, reference)
    if scene.known:
        provider_time.set(scene.now)
    else:
        provider_time.forget()
    series = read_series(market, timeframe, moment(min(scene.bounds)), moment(max(scene.bounds)))

    reference.now = micros(series.server_time)
    reference.watermark = None if series.watermark is None else micros(series.watermark)
    proven = [high for _, high in scene.live]
    if scene.known:
        assert 0 <= reference.now - scene.now < 60 * SECOND
        assert reference.watermark == max([reference.now - STALE, *proven])
    else:
        stored = Market.objects.get(pk=market.pk).watermark
        answered = [high for answers in scene.answers.values() for _, high in answers]
        assert reference.watermark == max([*proven, *answered, *([micros(stored)] if stored else [])], default=None)
    check_series(series, reference, min(scene.bounds), max(scene.bounds))
    check_reason(series, reference)
    check_prices(market, series)


def check_prices(market: Market, series: Series) -> None:
    """low <= open, close <= high in each row, and an export holds the same rows and certificate."""
    for _, *prices, _, _, _, _, _, _ in series.rows:
        opened, high, low, close = (Decimal(price or 0) for price in prices)
        assert low <= min(opened, close)
        assert max(opened, close) <= high
    bounds = series.start, series.stop
    shape = (EXACT, NUMBERS, CSV, NDJSON, BAR)[series.count % 5]
    # Long stretches are read in texts of some rows each: the whole text is the same.
    texts = []
    for stored_rows.LONG_BUCKETS, stored_rows.TEXT_ROWS in ((1, 3), (1000, 500)):
        texts.append(read_series(market, series.timeframe, *bounds, shape=shape).text)
    assert texts[0] == texts[1]
    export = Export(Question(market, series.timeframe, series.start, series.stop))
    csv = b"".join(block for part in export.parts() for block in part.blocks).decode()
    written = [[str(cell).lower() if isinstance(cell, bool) else str(cell or 0) for cell in row] for row in series.rows]
    assert [[cell or "0" for cell in line.split(",")] for line in csv.splitlines()] == written
    assert export.series.segments == series.segments
    assert [(one.start, one.stop, one.state) for one in export.certificate.segments] == [
        (one.start, one.stop, one.state) for one in series.segments
    ]


@given(live=spans, probe=st.tuples(times, times))
def test_the_reference_itself_knows_when_time_is_held(live: list[tuple[int, int]], probe: tuple[int, int]) -> None:
    start, stop = probe
    edges = {start, *(edge for span in live for edge in span if start <= edge < stop)}
    assert holds(live, start, stop) == (
        start >= stop or all(any(low <= at < high for low, high in live) for at in edges)
    )


@examples(60)
@given(
    timeframe=st.sampled_from(list(TIMEFRAMES)),
    scene=st.one_of(near_scenes(), wide_scenes()),
    limit=st.integers(1, 40),
    bounded=st.booleans(),
    forward=st.booleans(),
)
@rolled_back
def test_a_range_counted_in_buckets_is_answered_as_the_same_range_by_its_bounds(
    provider_time: ProviderTime, timeframe: str, scene: Scene, limit: int, bounded: bool, forward: bool
) -> None:
    market = ensure_markets([f"coinbase:L{next(numbered)}-USD"])[0]
    trades = [
        trade(n, ts, str(price), str(amount), market=market.symbol, received_at=ts)
        for n, (ts, price, amount) in enumerate(scene.traded, 1)
    ]
    provider_time.set(FIRST - DAY)
    fill(market, ReferenceMarket(scene.now, None, True, trades, scene.live, scene.answers, scene.candles))
    provider_time.set(scene.now)
    low = moment(min(scene.bounds)) if forward else None
    counted = read_series(market, timeframe, low, moment(max(scene.bounds)) if bounded else None, limit=limit)
    plain = read_series(market, timeframe, counted.start, counted.stop)
    half_minute = 30 * SECOND  # nothing changes its state within one
    assume(micros(counted.server_time) // half_minute == micros(plain.server_time) // half_minute)
    assert (counted.start, counted.stop, counted.segments) == (plain.start, plain.stop, plain.segments)
    assert counted.rows == plain.rows
    assert counted.complete_until == plain.complete_until
