"""The write against the reference: any order and batching, repeats, late trades, several writers, passing time."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from datastore.db.queries import fetch_all
from datastore.ingest.live_write import digest, rebuild, store_live
from datastore.models import Candle, Coverage, Market
from datastore.quality.verify import differences
from datastore.reference.markets import ensure_markets
from datastore.series.reader import read_series
from streaming.records import LastTrade, LiveRecord, Trade
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.records import MINUTE, NOON, SECOND, closed, micros, moment, opened, trade, watermark
from tests.support.datastore.reference import LENGTH, SECONDS, holds, of_trades, proven_by, text
from tests.support.examples import examples, rolled_back

HOUR = 60 * MINUTE
numbered = count(1)

# Few times, so that ties and full minutes are the rule; two days, so that all three resolutions have several buckets.
moments = st.builds(
    lambda hour, minute, second: NOON + hour * HOUR + minute * MINUTE + second * SECOND,
    st.sampled_from([0, 0, 0, 1, 11, 12, 13]),
    st.integers(0, 3),
    st.sampled_from([0, 0, 1, 59]),
)
exact = st.decimals("0.00000001", "99999", places=8).map(lambda number: number.normalize())


@st.composite
def trade_lists(draw: Any) -> list[Trade]:
    """Return trades of one market with distinct identities."""
    drawn = draw(
        st.lists(st.tuples(moments, exact, exact, st.one_of(st.none(), st.integers(1, 4))), min_size=1, max_size=30)
    )
    odd = ['a"b', "NULL", "{1,2}", "back\\slash", "ä", "Z", "a"]
    return [
        trade(n, ts, str(price), str(amount), seq=seq, id=f"{odd[n % len(odd)]}{n % 3}" if n < 9 else f"t{n}")
        for n, (ts, price, amount, seq) in enumerate(drawn, 1)
    ]


def of_market(records: list[Any], market: Market) -> list[Any]:
    """Return the same records as another market's."""
    return [
        type(one)(**{**{name: getattr(one, name) for name in one.__struct_fields__}, "market": market.symbol})
        for one in records
    ]


def new_market() -> Market:
    return ensure_markets([f"coinbase:W{next(numbered)}-USD"])[0]


def store(records: list[Any]) -> None:
    with transaction.atomic():
        store_live(records)


def stored_rows(market: Market) -> dict[tuple[int, int], tuple[str | int, ...]]:
    """Return all candles as text by (resolution, open time)."""
    rows = fetch_all(
        "select resolution, micros(open_time), open::text, high::text, low::text, close::text, volume::text,"
        " quote_volume::text, trades from candle where market_id = %s",
        [market.pk],
    )
    return {(resolution, at): tuple(numbers) for resolution, at, *numbers in rows}


def expected_rows(trades: list[Trade]) -> dict[tuple[int, int], tuple[str | int | None, ...]]:
    """Return what the reference makes of the trades."""
    rows = {}
    for kind, length in LENGTH.items():
        for start in {one.ts - one.ts % length for one in trades}:
            numbers = of_trades(one for one in trades if start <= one.ts < start + length)
            assert numbers is not None
            rows[SECONDS[kind], start] = (*map(text, numbers[:6]), numbers[6])
    return rows


@pytest.mark.django_db
@examples(80)
@given(trades=trade_lists(), data=st.data())
@rolled_back
def test_any_order_and_batching_gives_the_bits_of_the_reference(trades: list[Trade], data: st.DataObject) -> None:
    one, two = new_market(), new_market()
    store(of_market(trades, one))
    repeats = data.draw(st.lists(st.sampled_from(trades), max_size=5))
    shuffled = data.draw(st.permutations(trades + repeats))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(shuffled)), max_size=4)))
    for low, high in zip([0, *cuts], [*cuts, len(shuffled)], strict=True):
        store(of_market(shuffled[low:high], two))

    assert stored_rows(one) == stored_rows(two) == expected_rows(trades)
    assert digest(one) == digest(two)
    for market in (one, two):
        before = Market.objects.get(pk=market.pk).version
        bounds = moment(NOON - HOUR), moment(NOON + 48 * HOUR)
        assert differences(market, *bounds) == []
        assert not rebuild(market, *bounds)
        store(of_market(shuffled, market))
        assert Market.objects.get(pk=market.pk).version == before


@st.composite
def connections(draw: Any) -> list[list[LiveRecord]]:
    """Return batches as a consumer sees them: connections that come and go, with lost records and repeats."""
    now, n_trade = NOON, 0
    batches: list[list[LiveRecord]] = []
    for index in range(draw(st.integers(1, 3))):
        feed, n = f"tick-data/{index}", 1
        start = now + SECOND
        records: list[LiveRecord] = [opened(1, start, feed=feed)]
        for step in draw(st.lists(st.sampled_from("tttlwwwwx"), min_size=1, max_size=12)):
            now += draw(st.sampled_from([0, 1, 7, 20, 61])) * SECOND
            n += 1 + (step == "x") * draw(st.integers(1, 3))
            n_trade += 1
            if step == "w":
                records.append(watermark(n, now - 5 * SECOND, start, feed=feed, seen=now))
            else:
                late = draw(st.integers(0, 180)) * SECOND if step == "l" else 0
                price = str(Decimal(draw(st.integers(1, 99))) / 10)
                records.append(trade(n, now - late, price, feed=feed, id=f"t{n_trade}", received_at=now))
        if draw(st.booleans()):
            records.append(closed(n + 1, now - 5 * SECOND, start=start, feed=feed))
        cut = draw(st.integers(1, len(records)))
        batches += [records[:cut], records[max(cut - draw(st.integers(0, 3)), 0) :]]
        now += draw(st.sampled_from([0, 30, 300])) * SECOND
    return [batch for batch in batches if batch]


def time_of(batch: list[LiveRecord]) -> int:
    """Return the provider's time at which a batch cannot have been earlier."""
    return max(
        one.received_at
        if isinstance(one, Trade)
        else one.at
        if isinstance(one, LastTrade)
        else getattr(one, "seen", None) or one.start
        for one in batch
    )


@pytest.mark.django_db
@examples(60)
@given(batches=connections(), timeframe=st.sampled_from(["1m", "3m", "1h", "1d"]))
@rolled_back
def test_as_time_and_batches_pass_nothing_closed_opens_and_no_claim_runs_ahead(
    provider_time: ProviderTime, batches: list[list[LiveRecord]], timeframe: str
) -> None:
    market = new_market()
    now, cursor = NOON, 0
    closed_before: set[int] = set()
    polled: dict[tuple[int, object], tuple[object, ...]] = {}
    for batch in batches:
        now = max(now, time_of(batch))
        provider_time.set(now)
        before = Market.objects.get(pk=market.pk)
        shown_before = read_series(market, timeframe, moment(NOON - HOUR), moment(NOON + 2 * HOUR))
        store(of_market(batch, market))
        after = Market.objects.get(pk=market.pk)

        series = read_series(market, timeframe, moment(NOON - HOUR), moment(NOON + 2 * HOUR))
        proven = [(micros(row.start), micros(row.stop)) for row in Coverage.objects.filter(market=market)]
        assert all(stop <= now for _, stop in proven)
        assert before.watermark is None or before.watermark <= after.watermark <= moment(now + 60 * SECOND)  # type: ignore[operator]
        closed_now = closed_buckets(series)
        assert closed_before <= closed_now
        closed_before = closed_now
        if after.version == before.version:
            # Mere extension of a span settles buckets, it never changes one that was shown as settled.
            assert settled(shown_before).items() <= settled(series).items()
        for row in Candle.objects.filter(market=market, version__gt=cursor):
            polled[row.resolution, row.open_time] = (row.version, row.open, row.close, row.volume, row.trades)
        cursor = after.version
    delivered = [one for batch in batches for one in batch]
    check_end(market, delivered, polled)


def closed_buckets(series: Any) -> set[int]:
    """Return every closed bucket, those without a row included."""
    state_of = {row[0]: row[9] for row in series.rows}
    found = set()
    for segment in series.segments:
        at = segment.start
        while at < segment.stop:
            over = series.watermark is not None and following(series.timeframe, at) <= series.watermark
            ms = micros(at) // 1000
            assert state_of.get(ms, over and segment.state != "pending") == (over and segment.state != "pending") or (
                segment.state in ("partial", "gap")
            )
            # A derived bucket with a gap inside may still have a pending child, which shows as soon as it has a row.
            without_row = series.timeframe in ("1m", "1h", "1d") or segment.state not in ("gap", "partial")
            if over and segment.state != "pending" and state_of.get(ms, without_row):
                found.add(ms)
            at = following(series.timeframe, at)
    return found


def settled(series: Any) -> dict[int, tuple[object, ...]]:
    """Return every live bucket with its row."""
    rows = {row[0]: row[1:8] for row in series.rows}
    found: dict[int, tuple[object, ...]] = {}
    for segment in series.segments:
        at = segment.start
        while at < segment.stop:
            if segment.state == "live" or (
                segment.state in ("gap", "partial") and following(series.timeframe, at) <= series.watermark
            ):
                found[micros(at) // 1000] = (segment.state, rows.get(micros(at) // 1000))
            at = following(series.timeframe, at)
    return found


def following(timeframe: str, at: Any) -> Any:
    return at + timedelta(minutes={"1m": 1, "3m": 3, "1h": 60, "1d": 1440}[timeframe])


def check_end(market: Market, delivered: list[LiveRecord], polled: dict[Any, tuple[object, ...]]) -> None:
    """Compare the end with the reference: candles, proven time, and what a poller has gathered."""
    trades = {one.id: one for one in delivered if isinstance(one, Trade)}
    assert stored_rows(market) == expected_rows(list(trades.values()))
    stored = [(micros(row.start), micros(row.stop)) for row in Coverage.objects.filter(market=market)]
    proven = [
        span
        for feed in {one.feed for one in delivered}
        for span in proven_by([one for one in delivered if one.feed == feed])
    ]
    assert all(holds(stored, *span) for span in proven)
    assert all(holds(proven, *span) for span in stored)
    rows = Candle.objects.filter(market=market)
    assert polled == {
        (row.resolution, row.open_time): (row.version, row.open, row.close, row.volume, row.trades) for row in rows
    }


def _write(batches: list[list[Trade]]) -> None:
    try:
        for batch in batches:
            store(batch)
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_several_writers_at_once_make_the_candles_of_one() -> None:
    rng = random.Random(7)
    alone, together = [new_market() for _ in range(3)], [new_market() for _ in range(3)]
    trades = [
        trade(n, NOON + rng.randrange(400) * SECOND, str(Decimal(rng.randrange(1, 9999)) / 100), seq=n)
        for n in range(1, 1201)
    ]
    for market in alone:
        store(of_market(trades, market))
    everything = [one for market in together for one in of_market(trades, market)]
    work: list[list[list[Trade]]] = []
    for _ in range(3):
        # Each writer brings a good part of what another brings too.
        mine = rng.sample(everything, 2400) + everything[:: 3 - len(work)]
        work.append([mine[at : at + 97] for at in range(0, len(mine), 97)])
    work[0] += [everything]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(_write, work))
    assert len({digest(market) for market in alone + together}) == 1
    assert all(differences(market, moment(NOON), moment(NOON + HOUR)) == [] for market in together)
