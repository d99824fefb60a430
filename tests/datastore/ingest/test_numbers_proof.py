"""What numbers prove as it is stored: in the write's own transaction, beside what the connection proves."""

from __future__ import annotations

import random

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from datastore.db.queries import fetch_value
from datastore.ingest.live_write import store_live
from datastore.models import Coverage, CoverageChange, Market, Tick
from datastore.reference.markets import ensure_markets
from datastore.reference.staleness import stale_after
from datastore.series.reader import read_series
from datastore.timeframes.intervals import union
from streaming.records import LiveRecord
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.records import (
    BTC,
    FEED,
    MINUTE,
    NOON,
    SECOND,
    closed,
    micros,
    moment,
    opened,
    store,
    trade,
    watermark,
)
from tests.support.datastore.reference import holds
from tests.support.examples import examples, rolled_back
from tests.support.ingestion.intake_bench import T0, Feed

pytestmark = pytest.mark.django_db


@pytest.fixture
def market(provider_time: ProviderTime) -> Market:
    """A followed market of a provider that numbers its trades."""
    provider_time.set(NOON + 60 * MINUTE)
    (market,) = ensure_markets([BTC])
    return market


def spans(market: Market, proof: str) -> list[tuple[int, int]]:
    """Return what is stored of a proof, in seconds after noon."""
    found = Coverage.objects.filter(market=market, source="live", proof=proof).order_by("start", "stop")
    return [((micros(one.start) - NOON) // SECOND, (micros(one.stop) - NOON) // SECOND) for one in found]


def minutes(low: int, high: int, n: int, *, feed: str = FEED) -> list[LiveRecord]:
    """Return trades every 10 s from low to high, minutes after noon, with their claims, numbered from n."""
    found: list[LiveRecord] = []
    for at in range(low * 6, high * 6 + 1):
        ts = NOON + at * 10 * SECOND
        found += [
            trade(n, ts, id=f"id{at}", number=100 + at, feed=feed),
            watermark(n + 1, ts - 5 * SECOND, NOON - MINUTE, feed=feed),
        ]
        n += 2
    return found


def graded(market: Market) -> list[tuple[int, int, str | None]]:
    """Return the segments of the certificate of five minutes, in minutes after noon, with their proof."""
    series = read_series(market, "1m", moment(NOON), moment(NOON + 5 * MINUTE))
    return [
        ((micros(one.start) - NOON) // MINUTE, (micros(one.stop) - NOON) // MINUTE, one.proof)
        for one in series.segments
    ]


def test_the_certificate_shows_numbers_where_they_prove_and_the_connection_behind_them(market: Market) -> None:
    store(opened(1, NOON - MINUTE), *minutes(-1, 3, 2))
    store(watermark(52, NOON + 5 * MINUTE, NOON - MINUTE))
    assert spans(market, "connection") == [(-60, 300)]
    assert spans(market, "sequence") == [(-54, 174)]
    assert graded(market) == [(0, 2, "sequence"), (2, 5, "connection")]
    version = Market.objects.get().version
    store(trade(53, NOON + 5 * MINUTE, number=119), watermark(54, NOON + 5 * MINUTE, NOON - MINUTE))
    assert graded(market) == [(0, 4, "sequence"), (4, 5, "connection")]
    assert Market.objects.get().version == version + 1  # for the trade


def test_a_span_of_numbers_changes_no_more_than_the_proof(market: Market) -> None:
    store(opened(1, NOON - MINUTE), *minutes(-1, 1, 2))
    version = Market.objects.get().version
    noted = CoverageChange.objects.count()
    store(watermark(28, NOON + 61 * SECOND, NOON - MINUTE), closed(29, None))
    last = Market.objects.get()
    assert (last.version, last.live_stop) == (version + 1, moment(NOON + 61 * SECOND))  # its end
    assert CoverageChange.objects.count() == noted + 1
    assert {one.reason for one in Coverage.objects.filter(proof="sequence")} == {None}


def test_a_claim_that_is_taken_back_takes_the_proof_along(market: Market) -> None:
    store(opened(1, NOON - MINUTE), *minutes(-1, 4, 2))
    store(closed(64, None, "numbers are missing", certain=NOON + 2 * MINUTE))
    assert (spans(market, "connection"), spans(market, "sequence")) == ([(-60, 120)], [(-54, 120)])
    fetch_value("select take_back(%s, %s, 'clock', 'clock', %s)", [market.pk, moment(NOON + MINUTE), stale_after()])
    assert (spans(market, "connection"), spans(market, "sequence")) == ([(-60, 60)], [(-54, 60)])
    store(*minutes(4, 5, 65))  # the run is forgotten with its span
    assert spans(market, "sequence")[-1][0] >= 240


def test_another_copys_trade_that_contradicts_takes_back_what_both_claim(market: Market) -> None:
    two = "tick-data/two"
    unlike = trade(2, NOON + MINUTE, "7", id="id6", number=106, feed=two)
    store(opened(1, NOON - MINUTE), *minutes(-1, 4, 2), opened(1, NOON - MINUTE, feed=two), unlike)
    for proof in ("connection", "sequence"):
        assert max(high for _, high in spans(market, proof)) == 60
    store(watermark(64, NOON + 5 * MINUTE))  # the first claim after an end only begins a span
    assert max(high for _, high in spans(market, "connection")) == 60


def test_two_copies_prove_for_themselves_and_either_may_go_on(market: Market) -> None:
    two = "tick-data/two"
    store(opened(1, NOON - MINUTE), opened(1, NOON - MINUTE, feed=two), *minutes(-1, 1, 2))
    store(*minutes(-1, 4, 2, feed=two), closed(28, None))
    assert spans(market, "sequence") == [(-54, 54), (-54, 234)]
    assert graded(market)[0] == (0, 3, "sequence")


@examples(25)
@given(seed=st.integers(0, 2**32), lost_share=st.sampled_from([0, 0.02, 0.2]))
@rolled_back
def test_at_no_moment_do_numbers_prove_time_whose_trades_are_not_all_stored(seed: int, lost_share: float) -> None:
    """A connection's claim may hold a trade lost in silence until a later number shows it; numbers wait."""
    rng = random.Random(seed)
    market = ensure_markets([BTC])[0]
    feeds, at, seq, traded = [Feed()], 2.0, 1, [(T0, "0.5-btc")]
    published: list[list[LiveRecord]] = []
    lost: set[int] = set()  # numbers that some feed did not carry
    feeds[0].trade(0.5, CCSEQ=1)
    feeds[0].complete(1)
    for _ in range(rng.randrange(20, 80)):
        at += rng.choice([0, 0.2, 1, 7])
        late = rng.choice([0, 0, 0.4, 3.9])  # with what TS cuts off, less than GRACE
        seq += 1
        if rng.random() < 0.02:
            # The provider's numbering starts over. Were it to go on with just the numbers that were lost, those trades
            # would look like the lost ones, which come late.
            seq = max(seq - (20_000 if lost.intersection(range(seq - 3, seq)) else rng.choice([3, 20_000])), 1)
        name = f"{at}-{seq}-{rng.random()}"
        traded.append((T0 + int(at - late), name))
        for feed in feeds:
            if rng.random() < lost_share:
                lost.add(seq)
            else:
                for _ in range(rng.choice([1] * 9 + [2])):
                    feed.trade(at, ts=at - late, CCSEQ=seq, ID=name)
            if rng.random() < 0.3:
                feed.heartbeat(at)
        if rng.random() < 0.03:
            feeds.append(Feed())  # a copy, on a connection of its own
            feeds[-1].complete(at)
        if rng.random() < 0.4:
            feed = rng.choice(feeds)
            published.append(feed.records(at))
            for batch in published[-rng.choice([1, 1, 2]) :]:  # or the one before once more
                with transaction.atomic():
                    store_live(batch)
            _assert_sound(market, traded)
    for feed in feeds:
        with transaction.atomic():
            store_live(feed.records(at))
    _assert_sound(market, traded)


def _assert_sound(market: Market, traded: list[tuple[int, str]]) -> None:
    stored = set(Tick.objects.filter(market=market).values_list("trade_id", flat=True))
    rows = Coverage.objects.filter(market=market)
    proven = [(micros(row.start), micros(row.stop)) for row in rows.filter(proof="sequence")]
    missing = [ts for ts, name in traded if not any(one.startswith(name) for one in stored)]
    assert not [ts for ts in missing if holds(proven, ts * SECOND, ts * SECOND + 1)]
    live = union((micros(row.start), micros(row.stop)) for row in rows.exclude(proof="sequence"))
    assert all(holds(live, low, high) for low, high in proven)
