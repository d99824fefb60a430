from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_redis import get_redis_connection

from actor_runtime.models import TransitionLog
from actor_runtime.ownership.process_identity import this_process
from actor_runtime.ownership.rebalancing import active_rows
from consumers import topic_acks
from consumers.models import DynamicTopicConsumer
from datastore.ingest import market_cache
from datastore.ingest.live_write import store_live
from datastore.ingest.market_cache import market_key
from datastore.models import Coverage, DeadLetter, DynamicTopic, Tick
from streaming.broker import Message
from tests.support.consumers.dynamic import (
    all_consuming,
    broker,
    make_topics,
    name_of,
    pool_of,
    publish,
    records,
    rows,
    states,
    step_until,
    symbol,
    unread,
)
from tests.support.valkey import unreachable_valkey

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def empty_valkey() -> Iterator[None]:
    get_redis_connection("default").flushall()
    yield
    get_redis_connection("default").flushall()


def topic(number: int) -> DynamicTopic:
    return DynamicTopic.objects.get(name=name_of(number))


def events(number: int) -> list[str]:
    return list(TransitionLog.objects.filter(name=name_of(number)).order_by("id").values_list("event", flat=True))


def test_a_topic_that_the_actors_are_told_of_is_subscribed_to_and_acknowledged() -> None:
    make_topics(1)
    ours = pool_of()
    step_until(lambda: topic(0).subscribed_at, ours)
    ours.end()
    assert topic(0).consumer == this_process()
    assert events(0) == ["SUBSCRIBE_TO_TOPIC", "SUBSCRIBE_SUCCESS"]
    row = rows().get()
    assert (row.name, row.state, row.owner, row.epoch) == (name_of(0), "consuming", "", 1)


def test_what_a_topic_brings_becomes_ticks_and_coverage_and_is_committed() -> None:
    make_topics(1)
    publish(0, records(0))
    ours = pool_of()
    step_until(lambda: Tick.objects.count() == 10 and not unread(0) and states() == {"consuming"}, ours)
    ours.end()
    (span,) = Coverage.objects.all()
    assert (span.stop - span.start).total_seconds() == 95
    assert events(0)[2:] == ["MESSAGE_RECEIVED", "PROCESS_SUCCESS", "WRITE_SUCCESS", "UPDATE_CACHE_SUCCESS"]
    stored = get_redis_connection("default").hgetall(market_key(symbol(0)))
    assert b'"60"' in stored[b"candles"]


def test_many_topics_share_one_save_of_each_kind(django_assert_max_num_queries) -> None:  # type: ignore[no-untyped-def]
    make_topics(30)
    ours = pool_of()
    step_until(all_consuming(30), ours)
    for number in range(30):
        publish(number, records(number, 3))
    with django_assert_max_num_queries(40):
        step_until(lambda: Tick.objects.count() == 90, ours)
    assert not unread(*range(30))
    ours.end()


def test_a_backlog_of_one_topic_among_many_is_not_read_in_sips() -> None:
    make_topics(30)
    ours = pool_of()
    step_until(all_consuming(30), ours)
    publish(0, records(0, 2_000))
    step_until(lambda: not unread(0), ours)
    ours.end()
    assert Tick.objects.count() == 2_000
    batches = TransitionLog.objects.filter(name=name_of(0), event="WRITE_SUCCESS").values_list("count", flat=True)
    assert sum(batches) <= 2


def test_looking_for_work_reads_no_table_through() -> None:
    make_topics(3)
    pool_of().step()
    with connection.cursor() as cursor:
        cursor.execute("set enable_seqscan = off")
        cursor.execute("set enable_bitmapscan = off")
    with CaptureQueriesContext(connection) as asked:
        topic_acks.open_topics()
        active_rows(DynamicTopicConsumer)
    with connection.cursor() as cursor:
        plans = [str(cursor.execute(f"explain {one['sql']}").fetchall()) for one in asked]
        cursor.execute("reset all")
    assert "dynamic_topic_open" in plans[0]
    assert "dynamic_consumer_at_work" in plans[1]
    assert len(plans) == 2


def test_a_topic_that_is_missing_is_an_error_with_its_reason_and_the_others_go_on() -> None:
    make_topics(2)
    make_topics(1, there=False, first=2)
    publish(0, records(0))
    ours = pool_of()
    step_until(lambda: Tick.objects.count() == 10 and topic(2).subscribe_error, ours)
    assert topic(2).subscribe_error == f"TopicMissing: there is no topic {name_of(2)}"
    failed = rows().get(name=name_of(2))
    assert (failed.state, failed.last_error) == ("error", topic(2).subscribe_error)
    assert failed.reset_at is not None
    assert topic(0).subscribed_at and topic(1).subscribed_at and not topic(2).subscribed_at
    broker().admin().create_topic(name_of(2))
    publish(2, records(2))
    step_until(lambda: Tick.objects.count() == 20, ours)
    ours.end()
    assert topic(2).subscribed_at and topic(2).subscribe_error is None


def test_a_topic_that_goes_while_it_is_read_is_waited_for_and_told_and_the_others_go_on() -> None:
    make_topics(2)
    ours = pool_of()
    step_until(all_consuming(2), ours)
    broker().admin().delete_topic(name_of(1))
    publish(0, records(0))
    step_until(lambda: Tick.objects.count() == 10 and topic(1).subscribe_error, ours)
    ours.step()
    row = rows().get(name=name_of(1))
    # The chart has no arrow from Consuming to Error.
    assert (row.state, row.waiting_for) == ("consuming", f"TopicMissing: there is no topic {name_of(1)}")
    broker().admin().create_topic(name_of(1))
    publish(1, records(1))
    step_until(lambda: Tick.objects.count() == 20, ours)
    assert rows().get(name=name_of(1)).waiting_for is None
    ours.end()


def test_a_bad_record_is_buried_and_its_topic_and_the_others_go_on() -> None:
    make_topics(2)
    broker().publisher().publish(name_of(0), [Message(symbol(0), b'{"type":"trade"}')])
    publish(0, records(0))
    publish(1, records(1))
    ours = pool_of()
    step_until(lambda: Tick.objects.count() == 20, ours)
    ours.end()
    letter = DeadLetter.objects.get()
    assert (letter.topic, bytes(letter.raw)) == (name_of(0), b'{"type":"trade"}')
    assert not TransitionLog.objects.filter(target="error").exists()


def test_a_topic_that_can_not_be_written_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from consumers import batch_store

    def refuse_the_second(ready):  # type: ignore[no-untyped-def]
        if any(record.market == symbol(1) for record in ready.records):
            raise ZeroDivisionError("no such luck")
        return store_live(ready)

    make_topics(3)
    ours = pool_of()
    step_until(all_consuming(3), ours)
    monkeypatch.setattr(batch_store, "store_live", refuse_the_second)
    for number in range(3):
        publish(number, records(number))
    step_until(lambda: Tick.objects.count() == 20 and "error" in states(name_of(1)), ours)
    assert states(name_of(0), name_of(2)) == {"consuming"}
    assert rows().get(name=name_of(1)).last_error == "ZeroDivisionError: no such luck"
    assert rows().get(name=name_of(1)).reset_at is None  # nobody foresaw it: a person is to look
    monkeypatch.undo()
    call_command("reset_actor", name_of(1))
    step_until(lambda: Tick.objects.count() == 30 and states() == {"consuming"}, ours)
    ours.end()
    subscribed = TransitionLog.objects.filter(name=name_of(1), event="SUBSCRIBE_TO_TOPIC")
    assert sum(subscribed.values_list("count", flat=True)) == 2
    reset = TransitionLog.objects.get(name=name_of(1), event="RESET")
    assert reset.by.endswith("(reset_actor)")


def test_a_cache_that_is_away_holds_no_trade_back(monkeypatch: pytest.MonkeyPatch) -> None:
    make_topics(2)
    ours = pool_of()
    step_until(all_consuming(2), ours)
    with monkeypatch.context() as patch:
        patch.setattr(market_cache, "get_redis_connection", lambda _: unreachable_valkey())
        for half in (slice(0, 11), slice(11, 21)):
            before = Tick.objects.count()
            for number in range(2):
                publish(number, records(number)[half])
            step_until(lambda before=before: Tick.objects.count() == before + 10, ours)
    failed = TransitionLog.objects.filter(event="UPDATE_CACHE_FAILURE")
    assert failed.filter(name=name_of(0)).count() >= 2
    stored = get_redis_connection("default")
    step_until(lambda: stored.exists(market_key(symbol(0))) and states() == {"consuming"}, ours)
    ours.end()
    assert {row.by for row in TransitionLog.objects.filter(event="RESET")} == {"automatic after 1 s"}
    assert not unread(0, 1)
