"""The end of a dynamic topic: route ended, read to its end, stored, acknowledged, retired."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db.models.functions import Now
from django_redis import get_redis_connection

from actor_runtime.models import TransitionLog
from consumers.models import DynamicTopicConsumer
from datastore.coverage.feed_progress import note_acknowledged
from datastore.models import DynamicTopic, Feed, Tick
from tests.support.consumers.dynamic import (
    all_consuming,
    broker,
    make_topics,
    name_of,
    pool_of,
    publish,
    records,
    rows,
    step_until,
    symbol,
    unread,
)
from tests.support.datastore.records import NOON, moment

pytestmark = pytest.mark.django_db(transaction=True)
State = DynamicTopic.State


@pytest.fixture(autouse=True)
def empty_valkey() -> Iterator[None]:
    get_redis_connection("default").flushall()
    yield
    get_redis_connection("default").flushall()


def topic(number: int) -> DynamicTopic:
    return DynamicTopic.objects.get(name=name_of(number))


def actor(number: int) -> DynamicTopicConsumer:
    return DynamicTopicConsumer.objects.get(name=name_of(number))


def change(number: int, **values: Any) -> None:
    DynamicTopic.objects.filter(name=name_of(number)).update(**values)


def looked_twice(ours: Any) -> None:
    """Let the pool look for work and take turns, so that what it wanted to do by itself is done."""
    for _ in range(2):
        ours.next_look = 0.0
        ours.step()


def test_a_retiring_topic_is_read_until_its_route_has_ended_and_no_longer() -> None:
    make_topics(2)
    ours = pool_of()
    step_until(all_consuming(2), ours)
    change(0, state=State.RETIRING, retiring_at=Now())
    publish(0, records(0)[:11])
    step_until(lambda: not unread(0), ours)
    looked_twice(ours)
    assert topic(0).drained_at is None and actor(0).retired_at is None
    publish(0, records(0)[11:])
    change(0, route_ended_at=Now())
    step_until(lambda: topic(0).drained_at, ours)
    assert Tick.objects.count() == 10
    assert not unread(0)
    row = actor(0)
    assert (row.state, row.owner, row.epoch) == ("consuming", "", 1)
    assert row.retired_at is not None
    assert name_of(0) not in ours.actors and name_of(1) in ours.actors
    publish(1, records(1))
    step_until(lambda: Tick.objects.count() == 20, ours)
    ours.end()
    assert not TransitionLog.objects.filter(target="error").exists()


def test_what_lies_in_a_topic_whose_route_has_ended_is_stored_before_it_counts_as_read() -> None:
    make_topics(1)
    publish(0, records(0, 200))
    change(0, state=State.RETIRING, retiring_at=Now(), route_ended_at=Now())
    ours = pool_of()
    step_until(lambda: topic(0).drained_at, ours)
    ours.end()
    assert Tick.objects.count() == 200
    assert not topic(0).subscribed_at, "nobody waits for that word any more"
    assert actor(0).retired_at


def test_a_topic_that_is_gone_while_it_retires_has_nothing_left_to_read() -> None:
    make_topics(2)
    ours = pool_of()
    step_until(all_consuming(2), ours)
    change(0, state=State.RETIRING, retiring_at=Now())
    broker().admin().delete_topic(name_of(0))
    step_until(lambda: topic(0).drained_at, ours)
    assert (actor(0).state, topic(0).subscribe_error) == ("consuming", None)
    make_topics(1, there=False, first=2)
    change(2, state=State.RETIRING, retiring_at=Now())
    step_until(lambda: topic(2).drained_at, ours)
    assert actor(2).state == "idle"
    events = TransitionLog.objects.filter(name=name_of(2)).order_by("id").values_list("event", flat=True)
    assert list(events) == ["SUBSCRIBE_TO_TOPIC", "SUBSCRIBE_FAILURE", "RESET"]
    ours.end()


def test_a_topic_that_the_coordinator_did_not_wait_for_is_given_up() -> None:
    make_topics(2)
    make_topics(1, there=False, first=2)
    ours = pool_of()
    step_until(lambda: all_consuming(2)() and topic(2).subscribe_error, ours)
    for number in (0, 2):
        change(number, state=State.RETIRED, retired_at=Now())
    broker().admin().delete_topic(name_of(0))
    step_until(lambda: actor(0).retired_at and actor(2).retired_at, ours)
    assert (actor(0).state, actor(2).state) == ("consuming", "idle")
    assert TransitionLog.objects.get(name=name_of(2), event="RESET").by == "nothing is left to do for it"
    assert len(ours.actors) == 1
    ours.end()


def test_a_row_left_behind_by_the_dead_whose_topic_is_over_is_retired_by_the_next() -> None:
    make_topics(1)
    dead = pool_of(me="elsewhere:1:1")
    step_until(all_consuming(1), dead)
    rows().update(heartbeat_at=None)
    change(0, state=State.RETIRED, retired_at=Now())
    ours = pool_of()
    step_until(lambda: actor(0).retired_at, ours)
    ours.end()
    assert actor(0).owner == ""


def test_every_topic_that_is_read_to_its_end_says_so_of_its_feed() -> None:
    make_topics(3)
    for number in range(3):
        note_acknowledged(f"{name_of(number)}/one", moment(NOON + 500_000_000), markets=[symbol(number)])
    ours = pool_of()
    step_until(lambda: Feed.objects.exclude(drained_at=None).count() == 3, ours)
    assert all(feed.drained_at and feed.drained_at >= feed.acknowledged_at for feed in Feed.objects.all())
    ours.end()


def test_a_topic_that_is_never_empty_counts_as_read_too() -> None:
    make_topics(2)
    note_acknowledged(f"{name_of(0)}/one", moment(NOON + 5), markets=[symbol(0)])
    found = records(0, 2_000)
    ours = pool_of()
    step_until(all_consuming(2), ours)
    Feed.objects.update(drained_at=None)

    def drained() -> bool:
        publish(0, [found.pop(0)])  # before each turn, and one more while it is handled
        return Feed.objects.get().drained_at is not None

    lags = ours.work._lags  # type: ignore[attr-defined]
    ours.work._lags = lambda: (publish(0, [found.pop(0)]), lags())[1]  # type: ignore[attr-defined]
    step_until(drained, ours)
    ours.end()
