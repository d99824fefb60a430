"""What one process's death or slowness means for the others that host consumers of dynamic topics."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from django_redis import get_redis_connection

from actor_runtime.models import TransitionLog
from actor_runtime.ownership.process_identity import this_process
from consumers import batch_store
from datastore.ingest.live_write import digest, store_live
from datastore.models import Coverage, DynamicTopic, Tick
from streaming.topics import CONSUMER_GROUP
from tests.support.consumers.dynamic import (
    all_consuming,
    broker,
    make_topics,
    member,
    name_of,
    pool_of,
    publish,
    records,
    rows,
    states,
    step_until,
    unread,
)
from tests.support.database import database_url
from tests.support.polling import until

pytestmark = pytest.mark.django_db(transaction=True)
GONE = f"{socket.gethostname()}:1:no such start"
TAKEN_WITHIN = 15.0  # seconds; the promise of the platform, of which a process of the same host takes about one


@pytest.fixture(autouse=True)
def empty_valkey() -> Iterator[None]:
    get_redis_connection("default").flushall()
    yield
    get_redis_connection("default").flushall()


def taken_over(number: int) -> None:
    """Let another process take the row, whatever transaction we are in."""
    with psycopg.connect(database_url(), autocommit=True) as other:
        other.execute(
            "update consumers_dynamictopicconsumer set epoch = epoch + 1, owner = 'other:1:1',"
            " heartbeat_at = clock_timestamp() where name = %s",
            [name_of(number)],
        )


def ticks_of(number: int) -> int:
    topic = DynamicTopic.objects.get(name=name_of(number))
    return Tick.objects.filter(market=topic.market).count()


def logged(number: int, *events: str) -> list[tuple[str, str]]:
    found = TransitionLog.objects.filter(name=name_of(number), event__in=events).order_by("id")
    return list(found.values_list("event", "reason"))


def test_a_row_found_in_consuming_goes_on_consuming() -> None:
    make_topics(1)
    first = pool_of(me=GONE)
    step_until(all_consuming(1), first)
    subscribed_at = DynamicTopic.objects.get().subscribed_at
    publish(0, records(0))
    second = pool_of()
    step_until(lambda: ticks_of(0) == 10 and states() == {"consuming"}, second)
    second.end()
    assert logged(0, "TAKEOVER", "RESET", "SUBSCRIBE_FAILURE") == [("TAKEOVER", f"{GONE} no longer exists")]
    assert rows().get().epoch == 2
    topic = DynamicTopic.objects.get()
    assert (topic.consumer, topic.subscribed_at) == (this_process(), subscribed_at)


def test_a_row_found_in_the_middle_of_a_batch_fails_resets_and_subscribes_again() -> None:
    make_topics(2)
    first = pool_of(me=GONE)
    step_until(all_consuming(2), first)
    one = member(first, 0)
    one.actor.message_received()
    one.actor.process_success()
    one.save()
    publish(0, records(0))
    second = pool_of()
    step_until(lambda: ticks_of(0) == 10 and states() == {"consuming"}, second)
    second.end()
    assert logged(0, "TAKEOVER", "WRITE_FAILURE", "RESET") == [
        ("TAKEOVER", f"{GONE} no longer exists"),
        ("WRITE_FAILURE", "abandoned in Writing to DB"),
        ("RESET", ""),
    ]
    assert sum(TransitionLog.objects.filter(event="SUBSCRIBE_SUCCESS").values_list("count", flat=True)) == 3


def test_who_was_taken_over_before_the_write_leaves_its_topic_alone_and_stores_the_others() -> None:
    make_topics(3)
    ours = pool_of()
    step_until(all_consuming(3), ours)
    taken_over(1)
    theirs = rows().filter(name=name_of(1)).values().get()
    for number in range(3):
        publish(number, records(number))
    ours.next_claim = ours.next_beat = ours.clock.steady() + 1000  # only the save itself may notice
    step_until(lambda: not unread(0, 2), ours)
    assert (ticks_of(0), ticks_of(1), ticks_of(2)) == (10, 0, 10)
    assert unread(1) == len(records(1))
    assert rows().filter(name=name_of(1)).values().get() == theirs
    assert name_of(1) not in ours.actors
    ours.end()
    assert rows().get(name=name_of(1)).owner == "other:1:1"


def test_who_is_taken_over_inside_the_transaction_stores_nothing_of_that_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[set[str]] = []

    def overtaken(ready):  # type: ignore[no-untyped-def]
        calls.append({record.market for record in ready.records})
        stored = store_live(ready)
        if len(calls) == 1:
            taken_over(1)
        return stored

    make_topics(3)
    for number in range(3):
        publish(number, records(number))
    ours = pool_of()
    monkeypatch.setattr(batch_store, "store_live", overtaken)
    step_until(lambda: not unread(0, 2), ours)
    assert [len(markets) for markets in calls][:2] == [3, 2]
    assert (ticks_of(0), ticks_of(1), ticks_of(2)) == (10, 0, 10)
    assert unread(1) == len(records(1))
    assert not TransitionLog.objects.filter(name=name_of(1), event="WRITE_SUCCESS").exists()
    written = TransitionLog.objects.filter(name=name_of(0), event="WRITE_SUCCESS")
    assert sum(written.values_list("count", flat=True)) == 1, "what was taken back counts once"
    ours.end()


def test_a_position_that_another_process_moved_does_not_go_back() -> None:
    make_topics(2)
    ours = pool_of()
    publish(0, records(0)[:5])
    step_until(lambda: not unread(0), ours)
    publish(0, records(0)[5:])
    other = broker().assign(CONSUMER_GROUP, [name_of(0)])
    theirs = other.poll(1, 100)
    taken_over(0)
    other.commit(theirs)  # as the new owner does once it has stored them
    other.close()
    publish(1, records(1))
    ours.next_claim = ours.next_beat = ours.clock.steady() + 1000
    step_until(lambda: not unread(1), ours)
    assert not unread(0)
    assert name_of(0) not in ours.actors
    ours.end()


def test_two_processes_share_the_topics_and_one_that_comes_late_gets_its_part() -> None:
    make_topics(10)
    first, second = pool_of(me="first:1:1"), pool_of(me="second:1:1")
    step_until(all_consuming(10), first)
    assert set(rows().values_list("owner", flat=True)) == {"first:1:1"}
    step_until(lambda: (len(first.actors), len(second.actors)) == (5, 5) and all_consuming(10)(), first, second)
    for number in range(10):
        publish(number, records(number))
    step_until(lambda: Tick.objects.count() == 100, first, second)
    assert not TransitionLog.objects.filter(target="error").exists(), "who gives up a topic loses nothing half done"
    third = pool_of(me="third:1:1")
    make_topics(2, first=10)
    step_until(lambda: [len(one.actors) for one in (first, second, third)] == [4, 4, 4], first, second, third)
    second.end()
    step_until(lambda: len(first.actors) == len(third.actors) == 6, first, third)
    assert logged(3, "WRITE_FAILURE", "UPDATE_CACHE_FAILURE") == []
    first.end()
    third.end()


def test_any_dance_of_two_processes_stores_what_one_would_have() -> None:
    make_topics(4)
    rng = random.Random(11)
    brought = {number: records(number, 40) for number in range(4)}
    first, second = pool_of(me="first:1:1"), pool_of(me="second:1:1")
    while any(brought.values()):
        number = rng.choice([number for number in brought if brought[number]])
        publish(number, [brought[number].pop(0) for _ in range(min(len(brought[number]), rng.randint(1, 9)))])
        rng.choice((first, second)).step()
        if rng.random() < 0.3:  # a slow process whose row another one took, and which took it back
            rows().filter(name=name_of(number)).update(owner="", heartbeat_at=None)
    step_until(lambda: Tick.objects.count() == 160 and not unread(*range(4)), first, second)
    markets = [topic.market for topic in DynamicTopic.objects.order_by("name")]
    # The records are the same but for the names of the markets.
    assert len({digest(market) for market in markets}) == 1
    spans = list(Coverage.objects.values_list("start", "stop", "reason"))
    assert len(spans) == 4 and len(set(spans)) == 1
    first.end()
    second.end()


@pytest.mark.slow
def test_a_killed_process_s_topics_are_taken_over_by_the_others_and_nothing_is_lost(tmp_path: Path) -> None:
    make_topics(20)
    with ExitStack() as stack:
        victim, survivor = (stack.enter_context(_process(tmp_path / name)) for name in ("victim", "survivor"))
        owned = until("both have their share", lambda: _shares() if _shares() == [10, 10] else None, 60)
        assert owned
        for number in range(20):
            publish(number, records(number)[:11])
        until("half of it is stored", lambda: Tick.objects.count() >= 50, 60)
        os.kill(victim.pid, signal.SIGKILL)
        began = time.monotonic()
        for number in range(20):
            publish(number, records(number)[11:])
        until("one has all", lambda: _shares() == [20], TAKEN_WITHIN)
        took = time.monotonic() - began
        until("all is stored", lambda: Tick.objects.count() == 200 and not unread(*range(20)), 60)
        survivor.terminate()
        assert survivor.wait(timeout=60) == 0
    assert TransitionLog.objects.filter(event="TAKEOVER", reason__contains="no longer exists").count() == 10
    assert Coverage.objects.count() == 20 and not Coverage.objects.exclude(reason=None).exists()
    assert set(rows().values_list("owner", flat=True)) == {""}
    print(f"taken over after {took:.1f} s")


@pytest.mark.slow
def test_a_frozen_process_s_topics_are_taken_over_and_it_stores_nothing_when_it_wakes(tmp_path: Path) -> None:
    make_topics(4)
    with ExitStack() as stack:
        frozen, _ = (stack.enter_context(_process(tmp_path / name)) for name in ("frozen", "awake"))
        until("both have their share", lambda: _shares() == [2, 2], 60)
        owner = rows().filter(owner__contains=f":{frozen.pid}:").values_list("owner", flat=True)[0]
        os.kill(frozen.pid, signal.SIGSTOP)
        began = time.monotonic()
        for number in range(4):
            publish(number, records(number))
        until("one has all", lambda: _shares() == [4], 90)
        print(f"taken over after {time.monotonic() - began:.1f} s")
        until("all is stored", lambda: Tick.objects.count() == 40 and not unread(*range(4)), 60)
        found = list(Coverage.objects.order_by("market").values())
        os.kill(frozen.pid, signal.SIGCONT)
        until("it has its share again", lambda: rows().filter(owner=owner).count() == 2, 60)
        publish(0, records(0, 3, first=22))
        until("that is stored too", lambda: not unread(0), 60)
    assert Tick.objects.count() == 43
    assert TransitionLog.objects.filter(event="TAKEOVER", reason__contains="gave no sign of life").count() == 2
    assert list(Coverage.objects.filter(market__gt=found[0]["market_id"]).order_by("market").values()) == found[1:]


def _shares() -> list[int]:
    owners = list(rows().exclude(owner="").values_list("owner", flat=True))
    return sorted(owners.count(owner) for owner in set(owners))


class _process:
    """A process of `manage.py run_dynamic_consumer` on this test's servers, killed at the end."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def __enter__(self) -> subprocess.Popen[bytes]:
        env = os.environ | {"DATABASE_URL": database_url(), "LOG_LEVEL": "INFO"}
        with self._log.open("wb") as out:
            self._child = subprocess.Popen(
                [sys.executable, "manage.py", "run_dynamic_consumer"], cwd=settings.BASE_DIR, env=env, stderr=out
            )
        return self._child

    def __exit__(self, *_: object) -> None:
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait(timeout=60)
        print(self._log.read_text())
