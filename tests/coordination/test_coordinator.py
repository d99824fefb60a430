"""The Coordinator with its queue and its topic: a real Valkey."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest
from celery import current_app
from django.conf import settings
from django_redis import get_redis_connection

from actor_runtime.loop.actor_loop import ActorLoop
from actor_runtime.loop.session import ActorSession
from actor_runtime.manual_reset import reset
from actor_runtime.ownership.claims import add_row
from coordination.coordinator_actor import CoordinatorWork, enqueue_fetch
from coordination.dispatch import QueueAway
from coordination.models import Coordinator
from datastore.backfill.fetch_queue import REDISPATCH_AFTER
from datastore.models import FetchRequest
from datastore.reference.markets import ensure_markets
from tests.support.actor_runtime.work import Hands
from tests.support.coordination.fetch_requests import request, unreachable

QUEUE = settings.CELERY_TASK_DEFAULT_QUEUE


@pytest.fixture(autouse=True)
def valkey() -> Iterator[Any]:
    client = get_redis_connection("default")
    client.flushall()
    yield client
    client.flushall()


def tasks(valkey: Any) -> list[tuple[str, str]]:
    """Return the task and the arguments of what waits in the worker's queue, the oldest first."""
    raw = [json.loads(message)["headers"] for message in valkey.lrange(QUEUE, 0, -1)]
    return [(one["task"], one["argsrepr"]) for one in reversed(raw)]


def queued(valkey: Any) -> list[tuple[str, list[Any]]]:
    """Return what waits there of history."""
    return [(task, json.loads(arguments)) for task, arguments in tasks(valkey) if task != "ingestion.pairs"]


def loop_of(hands: Hands) -> ActorLoop:
    actor = add_row(Coordinator, "coordinator", "here:1:1")
    assert actor is not None
    return ActorLoop(CoordinatorWork(), ActorSession(actor, Event()), hands.clock)


@pytest.mark.django_db(transaction=True)
def test_a_request_reaches_the_queue_as_the_task_that_fetches_it(valkey: Any) -> None:
    pk = request(ensure_markets(["coinbase:BTC-USD"])[0])
    assert loop_of(Hands()).step() == 0.0
    assert queued(valkey) == [("ingestion.fetch", [pk])]


@pytest.mark.django_db(transaction=True)
def test_a_first_start_asks_for_the_list_of_pairs_once(valkey: Any) -> None:
    loop = loop_of(Hands())
    for _ in range(3):
        loop.step()
    assert tasks(valkey) == [("ingestion.pairs", "()")]


@pytest.mark.django_db(transaction=True)
def test_an_idle_coordinator_waits_between_its_turns() -> None:
    assert loop_of(Hands()).step() == CoordinatorWork.pause


@pytest.mark.django_db(transaction=True)
def test_dispatch_goes_on_while_the_chart_is_in_error_and_after_the_reset(valkey: Any) -> None:
    hands = Hands()
    loop = loop_of(hands)
    loop.step()
    loop.session.actor.request_create_topic()
    loop.session.actor.create_topic_failure(reason="the broker refuses the name")
    loop.session.save()
    market = ensure_markets(["coinbase:BTC-USD"])[0]
    first = request(market)
    loop.step()
    assert queued(valkey) == [("ingestion.fetch", [first])]
    assert Coordinator.objects.get().state == Coordinator.State.ERROR
    reset(Coordinator, "coordinator-1", by="ada")
    second = request(market)
    for _ in range(2):
        loop.step()
    assert queued(valkey)[1:] == [("ingestion.fetch", [second])]


@pytest.mark.django_db(transaction=True)
def test_a_queue_that_is_away_is_what_the_coordinator_waits_for(monkeypatch: pytest.MonkeyPatch, valkey: Any) -> None:
    pk = request(ensure_markets(["coinbase:BTC-USD"])[0])
    hands = Hands()
    loop = loop_of(hands)
    with unreachable(monkeypatch):
        loop.step()
    row = Coordinator.objects.get()
    assert row.state == Coordinator.State.ACTIVE and (row.waiting_for or "").startswith("QueueAway: the worker's queue")
    assert FetchRequest.objects.get().next_try is None
    hands.seconds += 1.1
    loop.step()
    assert queued(valkey) == [("ingestion.fetch", [pk])] and Coordinator.objects.get().waiting_for is None


def test_a_queue_that_refuses_is_named_within_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    with unreachable(monkeypatch), pytest.raises(QueueAway, match="does not answer"):
        enqueue_fetch(1)
    assert time.monotonic() - began < 5


def test_a_message_that_lay_too_long_is_worth_nothing(valkey: Any) -> None:
    enqueue_fetch(7)
    (raw,) = valkey.lrange(QUEUE, 0, -1)
    expires = datetime.fromisoformat(json.loads(raw)["headers"]["expires"])
    assert timedelta(0) < expires - datetime.now(UTC) <= REDISPATCH_AFTER


def test_the_queue_survives_that_valkey_was_flushed(valkey: Any) -> None:
    enqueue_fetch(1)
    valkey.flushall()
    enqueue_fetch(2)
    assert queued(valkey) == [("ingestion.fetch", [2])]


def test_every_process_sends_its_tasks_through_candlekeeps_app() -> None:
    assert current_app.main == "candlekeep"
    assert current_app.conf.broker_url == settings.REDIS_URL
