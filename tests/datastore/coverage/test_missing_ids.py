"""The trades that are missing by their ids: how many, which, between which times; and where that is said."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from config.monitoring import gauges
from datastore import metrics
from datastore.backfill.gap_repair import scan
from datastore.coverage.gaps import gap_segments
from datastore.coverage.missing_ids import MissingIds, missing_ids
from datastore.engines.retention import delete_old_trades
from datastore.models import GapRepair, Market
from datastore.reference.markets import ensure_markets
from datastore.series.reader import read_series
from datastore.sse.delta import Delta
from datastore.sse.delta_reader import read_delta, read_position
from datastore.timeframes.timeframe import TIMEFRAMES
from metering import table
from tests.support.datastore.counted import SLACK, counting, dealt, said
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.records import BTC, MINUTE, NOON, SECOND, closed, moment, opened, store

__all__ = ["counting"]
pytestmark = pytest.mark.django_db
DAY = 24 * 60 * MINUTE


def listed() -> list[tuple[int, int, int, int]]:
    """Return the missing ids: first, last, and the times between which they were traded, in seconds after noon."""
    found = missing_ids()
    return [
        (
            one.first,
            one.last,
            ((one.low - moment(NOON)).total_seconds() * SECOND + SLACK) // SECOND,
            ((one.high - moment(NOON)).total_seconds() * SECOND - SLACK) // SECOND,
        )
        for one in found
    ]


def test_the_ids_between_stored_ones_are_missing_and_their_times_bounded(counting: Market) -> None:
    store(dealt(10), dealt(11), dealt(24), dealt(30))
    assert listed() == [(12, 23, 11, 24), (25, 29, 24, 30)]
    assert [one.count for one in missing_ids([counting.pk])] == [12, 5]
    assert missing_ids([]) == []
    store(dealt(26, last=29), *[dealt(each, n=each) for each in range(12, 24)])
    assert listed() == [(25, 25, 24, 26)]


def test_what_was_traded_before_the_first_stored_trade_is_not_missing(counting: Market) -> None:
    store(dealt(500))
    assert listed() == []


def test_trades_that_the_venue_named_once_may_be_on_their_way_and_are_missing_when_named_again(
    counting: Market,
) -> None:
    store(dealt(1), said(4, NOON + 9 * SECOND, 2))
    assert listed() == []
    store(said(4, NOON + 10 * SECOND, 3))
    assert listed() == [(2, 4, 1, 9)]
    store(said(7, NOON + 12 * SECOND, 4))  # the others are still on their way
    assert listed() == [(2, 4, 1, 9)]
    store(dealt(5, NOON + 11 * SECOND, n=5))
    assert listed() == [(2, 4, 1, 11)]


def test_ids_in_doubt_are_not_asked_for_and_those_before_retention_would_be_refused(
    counting: Market, provider_time: ProviderTime
) -> None:
    store(dealt(1), dealt(2), dealt(3), dealt(9, NOON + 2 * DAY))
    store(dealt(2, price="7", feed="tick-data/two", n=1))
    assert [(one.first, one.last) for one in missing_ids()] == [(4, 8)]
    delete_old_trades(counting, moment(NOON + 2 * DAY), 1)
    assert [(one.first, one.last) for one in missing_ids()] == [(4, 8)]  # part of its time is kept
    delete_old_trades(counting, moment(NOON + 4 * DAY), 1)
    assert missing_ids() == []


def test_all_markets_are_listed_in_one_statement(
    counting: Market, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    symbols = [f"coinbase:C{each}-USD" for each in range(3)]
    markets = ensure_markets(symbols)
    for symbol in symbols:
        store(dealt(1, market=symbol), dealt(3, market=symbol))
    with django_assert_num_queries(1):
        found = missing_ids()
    assert [one.market_id for one in found] == [market.pk for market in markets]
    assert isinstance(found[0], MissingIds)


@pytest.fixture
def with_a_hole(counting: Market) -> Market:
    """A feed from noon to 12:20, away from 12:10:30 to 12:15:20, in which twelve trades were made."""
    back = NOON + 15 * MINUTE + 20 * SECOND
    store(
        opened(1, NOON - MINUTE),
        dealt(98, NOON - SECOND, n=2),
        dealt(99, NOON + 10 * MINUTE + 30 * SECOND, n=3),
        closed(4, NOON + 10 * MINUTE + 31 * SECOND, "socket lost", NOON - MINUTE),
        dealt(112, back, n=5),
        dealt(113, NOON + 20 * MINUTE, n=6),
        said(113, NOON + 60 * MINUTE, 7),
    )
    return counting


def test_a_gap_names_the_trades_that_are_missing_in_it_wherever_it_is_shown(with_a_hole: Market) -> None:
    why = ("12 trades missing, ids 100 to 111", "ids")
    bounds = moment(NOON), moment(NOON + 20 * MINUTE)
    series = read_series(with_a_hole, "1m", *bounds)
    assert [(part.state, part.reason, part.code, part.proof) for part in series.segments] == [
        ("live", None, None, "ids"),
        ("partial", *why, None),
        ("gap", *why, None),
        ("partial", *why, None),
        ("live", None, None, "ids"),
    ]
    assert {(one.reason, one.code) for one in gap_segments(with_a_hole, 60, *bounds)} == {why}
    assert [(part.reason, part.code) for part in series.completeness.missing] == [why]
    scan()  # which asks for them
    filling = (f"filling: {why[0]}", why[1])
    rows = GapRepair.objects.filter(resolution=60, start__gte=moment(NOON))
    assert set(rows.values_list("reason", "code")) == {filling}
    coarse = read_series(with_a_hole, "15m", *bounds).segments[0]
    assert (coarse.state, coarse.reason) == ("partial", filling[0])


def test_a_filled_hole_is_live_and_what_its_feed_s_end_said_is_forgotten(with_a_hole: Market) -> None:
    scan()
    version = Market.objects.get().version
    store(*[dealt(each, NOON + 11 * MINUTE + each * SECOND, feed="tick-data/fill", n=each) for each in range(100, 112)])
    assert Market.objects.get().version == version + 1
    series = read_series(with_a_hole, "1m", moment(NOON), moment(NOON + 20 * MINUTE))
    assert [(part.state, part.proof) for part in series.segments] == [("live", "ids")]
    scan()
    assert not GapRepair.objects.filter(start__gte=moment(NOON)).exists()
    assert missing_ids() == []


def test_followers_learn_that_a_gap_between_ids_was_filled(with_a_hole: Market) -> None:
    cursor, _ = read_position(with_a_hole)
    store(*[dealt(each, NOON + 11 * MINUTE + each * SECOND, feed="tick-data/fill", n=each) for each in range(100, 112)])
    found = read_delta(with_a_hole, TIMEFRAMES["1m"], cursor)
    assert isinstance(found, Delta)
    told = [json.loads(gap.text) for gap in found.gaps]
    assert {(one["state"], one["proof"], one["code"]) for one in told} == {("live", "ids", None)}
    assert (told[0]["from"], told[-1]["to"]) == ((NOON + 10 * MINUTE) // 1000, (NOON + 16 * MINUTE) // 1000)
    rows = [json.loads(row.text) for row in found.rows]
    of_hole = [row for row in rows if (NOON + 10 * MINUTE) // 1000 <= row[0] < (NOON + 16 * MINUTE) // 1000]
    assert of_hole and all(row[8:10] == ["live", True] for row in of_hole)


def test_ids_in_doubt_explain_a_gap(with_a_hole: Market) -> None:
    store(dealt(113, NOON + 20 * MINUTE, "7", feed="tick-data/two", n=1))
    series = read_series(with_a_hole, "1m", moment(NOON + 17 * MINUTE), moment(NOON + 23 * MINUTE))
    doubted = [part for part in series.segments if part.code == "conflict"]
    assert {part.reason for part in doubted} == {"1 trade in doubt, id 113: two came under one id"}


def test_where_no_id_is_known_to_be_missing_the_feed_s_end_is_the_reason(
    counting: Market, provider_time: ProviderTime
) -> None:
    store(
        opened(1, NOON - MINUTE),
        dealt(1, NOON - SECOND, n=2),
        dealt(2, NOON + 2 * MINUTE, n=3),
        closed(4, NOON + 2 * MINUTE, "socket lost", NOON - MINUTE),
    )
    series = read_series(counting, "1m", moment(NOON), moment(NOON + 5 * MINUTE))
    assert series.segments[-1].reason == "socket lost"


def test_proof_and_missing_trades_are_metrics_and_are_shown_of_each_market(with_a_hole: Market, client: Client) -> None:
    assert metrics.proofs() == [(BTC, "ids")]
    assert metrics.missing_trades() == {BTC: 12}
    samples: list[Any] = list(gauges.proofs())
    assert (table.LIVE_PROOF, (BTC, "ids"), 1.0) in samples
    assert (table.LIVE_PROOF, (BTC, "connection"), 0.0) in samples
    assert (table.MISSING_TRADES, (BTC,), 12) in samples
    assert client.get(f"/api/v1/markets/{BTC}").json()["proof"] == "ids"
    asked: dict[str, str | int] = {
        "market": BTC,
        "timeframe": "1m",
        "from": NOON // 1000,
        "to": NOON // 1000 + 1_200_000,
    }
    body = client.get("/api/v1/coverage", asked).json()
    assert body["totals"]["proven"] == {"ids": body["totals"]["milliseconds"]["live"]}
    assert {part["code"] for part in body["coverage"] if part["proof"] is None} == {"ids"}


@pytest.mark.parametrize("past_s", [30, 90], ids=["in the running minute", "in one that is over"])
def test_missing_ids_are_named_at_once_and_not_when_the_provider_is_final(
    counting: Market, provider_time: ProviderTime, past_s: int
) -> None:
    provider_time.set(NOON + past_s * SECOND)
    store(dealt(10), dealt(11), dealt(24), dealt(25))
    series = read_series(counting, "1m", moment(NOON), moment(NOON + 3 * MINUTE))
    first, *_, last = series.segments
    assert (first.state in ("open", "pending"), first.reason) == (True, "12 trades missing, ids 12 to 23")
    assert (last.state, last.code) == ("pending", "not_begun")
