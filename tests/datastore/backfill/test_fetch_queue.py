from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now

from datastore.backfill import fetch_queue
from datastore.backfill.fetch_queue import Purpose, State, enqueue, not_yet_requested
from datastore.models import Coverage, FetchRequest, GapRepair, Market
from datastore.reference.markets import ensure_markets
from ingestion.providers.cryptocompare.traits import TRAITS
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.records import BTC, MINUTE, NOON, SECOND, micros, moment

pytestmark = pytest.mark.django_db

HOUR = 60 * MINUTE


@pytest.fixture
def btc(provider_time: ProviderTime) -> Market:
    provider_time.set(NOON + 3 * HOUR + 30 * SECOND)
    return ensure_markets([BTC])[0]


def covered(market: Market, start: int, stop: int, resolution: int = 60, source: str = "provider") -> None:
    Coverage.objects.create(
        market=market,
        source=source,
        feed="" if source == "provider" else "f",
        resolution=resolution if source == "provider" else 0,
        start=moment(start),
        stop=moment(stop),
    )


def in_minutes(spans: list[fetch_queue.Span]) -> list[tuple[int, int]]:
    return [((micros(low) - NOON) // MINUTE, (micros(high) - NOON) // MINUTE) for low, high in spans]


def asked(market: Market, low: int, high: int, purpose: int = Purpose.READER, resolution: int = 60) -> list[int]:
    """Ask for minutes from noon; return the ids."""
    bounds = moment(NOON + low * MINUTE), moment(NOON + high * MINUTE)
    return [request.pk for request in enqueue(market, resolution, *bounds, purpose)]


def spans_of_all() -> list[tuple[int, int]]:
    return in_minutes([(one.start, one.stop) for one in FetchRequest.objects.order_by("start")])


def take_back_the_lease(pk: int) -> None:
    FetchRequest.objects.filter(pk=pk).update(lease_until=Now() - timedelta(seconds=1))


def test_missing_is_what_nobody_proves_refused_or_fetches(btc: Market) -> None:
    covered(btc, NOON + 10 * MINUTE, NOON + 20 * MINUTE)
    covered(btc, NOON + 30 * MINUTE + 1, NOON + 40 * MINUTE + 1, source="live")
    GapRepair.objects.create(
        market=btc, resolution=60, start=moment(NOON + 50 * MINUTE), stop=moment(NOON + 55 * MINUTE), final=True
    )
    FetchRequest.objects.create(
        market=btc, resolution=60, start=moment(NOON + 58 * MINUTE), stop=moment(NOON + 59 * MINUTE), purpose=3
    )
    found = not_yet_requested(btc, 60, moment(NOON + 1), moment(NOON + HOUR - 1))
    assert in_minutes(found) == [(0, 10), (20, 31), (40, 50), (55, 58), (59, 60)]


def test_what_the_provider_cannot_answer_for_finally_is_not_missing(btc: Market) -> None:
    assert in_minutes(not_yet_requested(btc, 60, moment(NOON + 2 * HOUR), moment(NOON + 4 * HOUR))) == [(120, 179)]
    assert in_minutes(not_yet_requested(btc, 3600, moment(NOON), moment(NOON + 4 * HOUR))) == [(0, 120)]


def test_an_hour_made_of_proven_minutes_is_not_missing(btc: Market) -> None:
    covered(btc, NOON + HOUR, NOON + 2 * HOUR)
    assert in_minutes(not_yet_requested(btc, 3600, moment(NOON), moment(NOON + 2 * HOUR))) == [(0, 60)]


def test_before_the_first_stamp_the_databases_clock_says_what_may_be_asked(provider_time: ProviderTime) -> None:
    provider_time.forget()
    market = ensure_markets([BTC])[0]
    assert in_minutes(not_yet_requested(market, 60, moment(NOON), moment(NOON + 5 * MINUTE))) == [(0, 5)]


def test_nothing_is_asked_for_twice(btc: Market) -> None:
    first = asked(btc, 0, 60)
    assert asked(btc, 0, 60) == asked(btc, 10, 20) == first
    fetch_queue.start(first[0], "job")
    second = asked(btc, -30, 90)
    assert second[0] == first[0] and len(second) == 3
    assert spans_of_all() == [(-30, 0), (0, 60), (60, 90)]
    assert not_yet_requested(btc, 60, moment(NOON - 30 * MINUTE), moment(NOON + 90 * MINUTE)) == []


def test_a_waiting_reader_hurries_what_is_under_way(btc: Market) -> None:
    slow = asked(btc, 0, 60, Purpose.BACKFILL)
    other = asked(btc, 60, 90, Purpose.GAP)
    assert [one.pk for one in fetch_queue.due(5)] == other + slow
    asked(btc, 0, 10, Purpose.READER)
    assert [one.pk for one in fetch_queue.due(5)] == slow + other
    asked(btc, 0, 10, Purpose.BACKFILL)
    assert FetchRequest.objects.get(pk=slow[0]).purpose == Purpose.READER


def test_holes_that_one_page_answers_for_are_one_request(btc: Market) -> None:
    for at in range(0, 30, 2):
        covered(btc, NOON + at * MINUTE, NOON + (at + 1) * MINUTE, source="live")
    assert len(asked(btc, 0, 30)) == 1
    assert spans_of_all() == [(1, 30)]


def test_a_request_that_has_not_begun_grows_over_its_neighbours() -> None:
    market = ensure_markets([BTC])[0]
    first = asked(market, 0, 60)
    assert asked(market, -30, 90) == asked(market, 90, 100) == first
    assert spans_of_all() == [(-30, 100)]
    assert len(asked(market, 100, 100 + TRAITS.candles.rows_per_page)) == 1
    assert len(asked(market, -40, -30, Purpose.BACKFILL)) == 1
    assert spans_of_all() == [(-40, -30), (-30, 100), (100, 100 + TRAITS.candles.rows_per_page)]


def _ask_and_close(market: Market) -> list[int]:
    try:
        return asked(market, 0, 60)
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_several_askers_at_once_make_one_request(provider_time: ProviderTime) -> None:
    provider_time.set(NOON + 3 * HOUR)
    (market,) = ensure_markets([BTC])
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(_ask_and_close, [market] * 8))
    assert found == [[FetchRequest.objects.get().pk]] * 8


def test_a_refused_span_is_left_out_even_between_holes(btc: Market) -> None:
    GapRepair.objects.create(market=btc, resolution=60, start=moment(NOON), stop=moment(NOON + 5 * MINUTE), final=True)
    asked(btc, -5, 10)
    assert spans_of_all() == [(-5, 0), (5, 10)]


def test_a_job_keeps_its_request_by_renewing(btc: Market) -> None:
    (pk,) = asked(btc, 0, 60)
    begun = fetch_queue.start(pk, "one")
    assert begun is not None and (begun.state, begun.dispatched, begun.market) == (State.FETCHING, 1, btc)
    assert fetch_queue.start(pk, "two") is None
    assert fetch_queue.renew(pk, "one") and not fetch_queue.renew(pk, "two")
    assert fetch_queue.note_progress(pk, "one", moment(NOON + 30 * MINUTE), 1, 2)
    take_back_the_lease(pk)
    again = fetch_queue.start(pk, "two")
    assert again is not None and (again.dispatched, again.reached) == (2, moment(NOON + 30 * MINUTE))
    assert not fetch_queue.note_progress(pk, "one", moment(NOON), 2, 2) and not fetch_queue.mark_published(pk, "one")
    assert fetch_queue.mark_published(pk, "two")
    assert fetch_queue.start(pk, "three") is None
    assert fetch_queue.states_of([pk, pk + 1]) == {pk: State.PUBLISHED}


def test_a_request_given_back_waits_with_its_error(btc: Market) -> None:
    (pk,) = asked(btc, 0, 60)
    fetch_queue.start(pk, "one")
    assert fetch_queue.requeue(pk, "one", "503 of the provider", timedelta(minutes=1))
    assert fetch_queue.due(5) == []
    found = FetchRequest.objects.get(pk=pk)
    assert (found.state, found.error, found.lease_until) == (State.QUEUED, "503 of the provider", None)
    assert not fetch_queue.requeue(pk, "one", "again", timedelta(0))


def test_a_due_request_is_handed_out_once(btc: Market) -> None:
    (pk,) = asked(btc, 0, 60)
    assert fetch_queue.hand_out(pk) and not fetch_queue.hand_out(pk)
    assert fetch_queue.due(5) == []
    assert fetch_queue.start(pk, "one") is not None


def test_a_dead_jobs_request_is_queued_again(btc: Market) -> None:
    (pk,) = asked(btc, 0, 60)
    fetch_queue.start(pk, "one")
    assert fetch_queue.expire_leases() == 0
    take_back_the_lease(pk)
    assert fetch_queue.expire_leases() == 1
    assert [one.pk for one in fetch_queue.due(5)] == [pk]
    assert fetch_queue.count_by_state() == {"queued": 1, "fetching": 0, "published": 0, "done": 0, "failed": 0}
