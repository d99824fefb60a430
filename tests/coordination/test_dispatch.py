"""Which request the worker is notified of, and that none is left lying."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django_redis import get_redis_connection

from actor_runtime.ownership.process_identity import this_process
from coordination.dispatch import SWEEP_EVERY_S, Dispatcher, QueueAway
from datastore.backfill import fetch_queue
from datastore.datastore_actor import State as RequestState
from datastore.models import DatastoreRequest, FetchRequest, Market
from datastore.reference.markets import ensure_markets
from datastore.requests.wake import CHANNEL
from ingestion.models import Producer
from tests.support.coordination.fetch_requests import HOUR, NOON, request

pytestmark = pytest.mark.django_db(transaction=True)

State = FetchRequest.State
Purpose = FetchRequest.Purpose


@pytest.fixture
def market() -> Market:
    return ensure_markets(["coinbase:BTC-USD"])[0]


class Desk:
    """A dispatch with a worker that only takes notes, and a clock that only moves when asked."""

    def __init__(self, pool: int = 4) -> None:
        self.told: list[int] = []
        self.away = False
        self.seconds = 0.0
        self.dispatch = Dispatcher(self._tell, pool, steady=lambda: self.seconds)

    def _tell(self, request_id: int) -> None:
        if self.away:
            raise QueueAway
        self.told.append(request_id)

    def turn(self, later: float = 0.0) -> list[int]:
        """Let time pass and have a turn; return what the worker was notified in it."""
        self.seconds += later
        before = len(self.told)
        assert self.dispatch.turn() == (len(self.told) > before)
        return self.told[before:]


def end(pk: int, state: str = State.DONE) -> None:
    FetchRequest.objects.filter(pk=pk).update(state=state, finished_at=Now(), error="older than the provider keeps")


def waiting_for(*fetch_ids: int) -> str:
    """Make a reader's request that waits for these fetches; return its name."""
    name = f"request-{fetch_ids}"
    DatastoreRequest.objects.create(name=name, fetches=list(fetch_ids))
    with DatastoreRequest.locked(name) as row:
        row.request_data()
        row.start_db_query()
        row.db_query_empty()
        row.ask_for_what_is_missing()
        row.fetch_instructions_sent()
    return name


def state_of(name: str) -> str:
    return str(DatastoreRequest.objects.get(name=name).state)


def test_a_waiting_reader_goes_before_a_gap_before_a_schedule_before_a_backfill_and_the_oldest_first(
    market: Market,
) -> None:
    asked = [Purpose.BACKFILL, Purpose.SCHEDULE, Purpose.GAP, Purpose.READER, Purpose.GAP]
    backfill, schedule, gap, reader, younger = (request(market, purpose) for purpose in asked)
    assert Desk(pool=9).turn() == [reader, gap, younger, schedule, backfill]


def test_no_more_requests_are_under_way_than_there_are_producers_and_the_next_one_follows_at_once(
    market: Market,
) -> None:
    first, second, third = (request(market) for _ in range(3))
    desk = Desk(pool=2)
    assert desk.turn() == [first, second]
    assert desk.turn() == []
    fetch_queue.start(first, "producer-history-1")
    assert desk.turn() == []
    end(first)
    assert desk.turn() == [third]


def test_a_request_that_the_worker_never_begins_is_told_again_and_not_before_its_patience_is_over(
    market: Market,
) -> None:
    pk = request(market)
    desk = Desk(pool=1)
    assert desk.turn() == [pk]
    assert desk.turn(later=5) == []
    FetchRequest.objects.update(next_try=Now())
    assert desk.turn(later=fetch_queue.REDISPATCH_AFTER.total_seconds()) == [pk]


def test_a_request_in_its_back_off_is_left_alone(market: Market) -> None:
    request(market, next_try=Now() + HOUR)
    due = request(market, next_try=Now() - HOUR)
    assert Desk().turn() == [due]


def test_a_job_whose_lease_ran_out_is_told_again_and_keeps_what_was_acknowledged(market: Market) -> None:
    lost: dict[str, Any] = {"state": State.FETCHING, "worker": "producer-history-1"}
    lost |= {"reached": NOON + HOUR / 2, "pages_done": 1}
    pk = request(market, lease_until=Now() - timedelta(seconds=1), **lost)
    alive = request(market, lease_until=Now() + timedelta(seconds=30), **lost)
    assert Desk().turn() == [pk]
    assert FetchRequest.objects.get(pk=pk).reached == NOON + HOUR / 2
    assert FetchRequest.objects.get(pk=alive).state == State.FETCHING


def test_leases_are_looked_at_every_few_seconds(market: Market) -> None:
    desk = Desk()
    desk.turn()
    pk = request(market, state=State.FETCHING, lease_until=Now() - timedelta(seconds=1))
    assert desk.turn(later=SWEEP_EVERY_S / 2) == []
    assert desk.turn(later=SWEEP_EVERY_S / 2) == [pk]


def test_a_job_whose_process_is_gone_is_told_again_at_once(market: Market) -> None:
    here = this_process()
    gone, moved, alive = f"{here}0", here, here
    owners = {"producer-history-1": gone, "producer-history-2": moved, "producer-history-3": alive}
    for name, owner in owners.items():
        Producer.objects.create(name=name, epoch=4, owner=owner, heartbeat_at=Now())
    claims = ("producer-history-1@4", "producer-history-2@3", "producer-history-3@4")
    fetching: dict[str, Any] = {"state": State.FETCHING, "lease_until": Now() + timedelta(seconds=30)}
    first, second, third = (request(market, worker=claim, **fetching) for claim in claims)
    assert Desk().turn() == [first, second]
    assert FetchRequest.objects.get(pk=third).state == State.FETCHING


def test_what_is_published_is_left_to_its_consumer(market: Market) -> None:
    published = request(market, state=State.PUBLISHED, published_at=Now() - timedelta(minutes=5), pages_done=3)
    assert Desk().turn() == []
    assert FetchRequest.objects.get(pk=published).state == State.PUBLISHED


def test_a_queue_that_is_away_costs_no_request_its_turn(market: Market) -> None:
    pk = request(market)
    desk = Desk()
    desk.away = True
    for _ in range(3):
        with pytest.raises(QueueAway):
            desk.dispatch.turn()
    desk.away = False
    assert desk.turn() == [pk]


def test_a_request_that_another_coordinator_told_is_not_told_twice(market: Market) -> None:
    request(market)
    assert [len(Desk().turn()), len(Desk().turn())] == [1, 0]


@pytest.mark.parametrize(
    ("ending", "state"), [(State.DONE, RequestState.RETURNING_DATA), (State.FAILED, RequestState.ERROR)]
)
def test_the_end_of_a_fetch_ends_the_waiting_of_its_readers_and_wakes_them(
    market: Market, ending: str, state: str
) -> None:
    first, second = request(market), request(market)
    both, other = waiting_for(first, second), waiting_for(second)
    listener = get_redis_connection("default").pubsub()
    listener.subscribe(CHANNEL)
    assert listener.get_message(timeout=5)["type"] == "subscribe"
    desk = Desk()
    desk.turn()
    end(first, ending)
    desk.turn()
    assert listener.get_message(timeout=0.05) is None, "somebody still waits for the second one"
    end(second)
    desk.turn()
    assert listener.get_message(timeout=5)["type"] == "message"
    listener.close()
    assert (state_of(both), state_of(other)) == (state, RequestState.RETURNING_DATA)


def test_an_end_that_came_between_two_looks_is_seen_at_the_next_look_back(market: Market) -> None:
    desk = Desk()
    desk.turn()
    pk = request(market)
    reader = waiting_for(pk)
    end(pk)
    desk.turn(later=SWEEP_EVERY_S)
    assert state_of(reader) == RequestState.RETURNING_DATA


def test_readers_are_answered_without_a_cache_to_wake_them(
    market: Market, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    pk = request(market)
    reader = waiting_for(pk)
    end(pk)
    nowhere = {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}
    settings.CACHES = {"default": nowhere, "counters": nowhere}
    Desk().turn()
    assert state_of(reader) == RequestState.RETURNING_DATA
