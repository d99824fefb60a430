from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from actor_runtime.models import TransitionLog
from datastore.models import DatastoreRequest, FetchRequest, Market
from datastore.reference.markets import ensure_markets
from datastore.requests import endings

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
STATES = DatastoreRequest.State


@pytest.fixture
def market() -> Market:
    return ensure_markets(["coinbase:BTC-USD"])[0]


def fetch(market: Market, state: str = "fetching", error: str | None = None) -> FetchRequest:
    now = timezone.now()
    return FetchRequest.objects.create(
        market=market, resolution=60, start=now - HOUR, stop=now, purpose=0, state=state, error=error
    )


def end(one: FetchRequest, state: str, error: str | None = None) -> None:
    FetchRequest.objects.filter(pk=one.pk).update(state=state, error=error)


def waiting(name: str, *fetches: FetchRequest) -> str:
    DatastoreRequest.objects.create(name=name, fetches=[one.pk for one in fetches])
    with DatastoreRequest.locked(name) as request:
        request.request_data()
        request.start_db_query()
        request.db_query_empty()
        request.ask_for_what_is_missing()
        request.fetch_instructions_sent()
    return name


def state_of(name: str) -> str:
    return str(DatastoreRequest.objects.get(name=name).state)


def test_a_request_waits_until_all_its_fetches_have_ended(market: Market) -> None:
    one, two = fetch(market), fetch(market)
    name = waiting("r-1", one, two)
    end(one, "done")
    assert endings.end_requests([one.pk]) == 0
    assert state_of(name) == STATES.WAITING_FOR_DATA
    end(two, "done")
    assert endings.end_requests([two.pk]) == 1
    assert state_of(name) == STATES.RETURNING_DATA
    assert endings.end_requests([two.pk]) == 0


def test_every_request_of_a_fetch_is_ended_and_no_other(market: Market) -> None:
    one, other = fetch(market, "done"), fetch(market, "done")
    names = [waiting("r-1", one), waiting("r-2", one), waiting("r-3", other)]
    assert endings.end_requests([one.pk]) == 2
    assert [state_of(name) for name in names] == ["returning_data", "returning_data", "waiting_for_data"]
    assert endings.end_requests() == 1


def test_a_failed_fetch_fails_its_request_with_the_reason(market: Market) -> None:
    name = waiting("r-1", fetch(market, "done"), fetch(market, "failed", "older than the provider keeps"))
    endings.end_requests()
    request = DatastoreRequest.objects.get(name=name)
    assert (request.state, request.last_error) == (STATES.ERROR, "older than the provider keeps")


def test_the_request_ends_when_its_answer_was_given(market: Market) -> None:
    good, bad, still = (
        waiting("r-1", fetch(market, "done")),
        waiting("r-2", fetch(market, "failed")),
        waiting("r-3", fetch(market)),
    )
    endings.end_requests()
    endings.end_answered([good, bad, still], by="its reader")
    assert [state_of(name) for name in (good, bad, still)] == ["idle", "idle", "waiting_for_data"]
    assert DatastoreRequest.objects.filter(retired_at=None).get().name == still
    assert TransitionLog.objects.get(name=good, event="RETURN_DATA_SUCCESS").target == "idle"
    assert TransitionLog.objects.get(name=bad, event="RESET").by == "its reader"


def test_an_answer_that_nobody_came_for_ends_after_an_hour(market: Market) -> None:
    good, bad = waiting("r-1", fetch(market, "done")), waiting("r-2", fetch(market, "failed"))
    endings.end_requests()
    assert endings.expire_requests() == 0
    DatastoreRequest.objects.filter(name=good).update(returning_since=timezone.now() - HOUR)
    DatastoreRequest.objects.filter(name=bad).update(reset_at=timezone.now())
    assert endings.expire_requests() == 2
    assert (state_of(good), state_of(bad)) == ("idle", "idle")
    assert "nobody came" in TransitionLog.objects.get(name=good, event="RETURN_DATA_FAILURE").reason


def test_an_ended_request_is_forgotten_after_a_day_and_a_waiting_one_never(market: Market) -> None:
    ended, still = waiting("r-1", fetch(market, "done")), waiting("r-2", fetch(market))
    endings.end_requests()
    endings.end_answered([ended], by="its reader")
    DatastoreRequest.objects.update(created_at=timezone.now() - 25 * HOUR)
    endings.expire_requests()
    assert list(DatastoreRequest.objects.values_list("name", flat=True)) == [still]


def test_ending_and_expiring_many_requests_costs_as_many_statements_as_two(market: Market) -> None:
    counts = []
    for count in (2, 20):
        names = [waiting(f"r-{count}-{n}", fetch(market, ("done", "failed")[n % 2])) for n in range(count)]
        with CaptureQueriesContext(connection) as ending:
            assert endings.end_requests() == count
        rows = DatastoreRequest.objects.filter(name__in=names)
        rows.update(returning_since=timezone.now() - HOUR, reset_at=timezone.now())
        with CaptureQueriesContext(connection) as expiring:
            assert endings.expire_requests() == count
        assert {state_of(name) for name in names} == {"idle"}
        counts.append((len(ending), len(expiring)))
    print(f"\nending and expiring 2 and 20 requests: {counts} statements")
    assert counts[0] == counts[1]
