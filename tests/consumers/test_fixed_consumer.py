from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django_redis import get_redis_connection

from actor_runtime.loop.runner import Runner
from actor_runtime.models import TransitionLog
from consumers.fixed_consumer_actor import FixedTopicWork
from consumers.models import FixedTopicConsumer
from datastore.coverage.feed_progress import note_acknowledged
from datastore.ingest import market_cache
from datastore.ingest.live_write import digest
from datastore.ingest.market_cache import market_key
from datastore.models import Candle, Coverage, DeadLetter, Feed, Tick
from datastore.reference.markets import ensure_markets
from streaming.broker import Broker, Message
from streaming.broker_factory import connect
from tests.support import forked_python
from tests.support.consumers.crashing import STEPS
from tests.support.consumers.fixed import TOPIC, publish, session_records, work_until_drained
from tests.support.database import database_url
from tests.support.datastore.records import BTC, FEED, NOON, SECOND, moment, trade
from tests.support.polling import until
from tests.support.valkey import unreachable_valkey

State = FixedTopicConsumer.State


@pytest.fixture
def broker(transactional_db: None) -> Iterator[Broker]:
    ensure_markets([BTC])
    get_redis_connection("default").flushall()
    found = connect(settings.STREAM_URL, settings.STREAM_MAXLEN)
    found.admin().create_topic(TOPIC)
    yield found


def test_a_batch_becomes_ticks_candles_and_coverage_and_is_committed(broker: Broker) -> None:
    publish(broker, session_records())
    work_until_drained(broker).end()
    assert Tick.objects.count() == 30
    assert Candle.objects.filter(resolution=60).count() == 6
    (span,) = Coverage.objects.all()
    assert span.feed == FEED
    assert (span.stop - span.start).total_seconds() == 295
    assert FixedTopicConsumer.objects.get().state == State.IDLE


def test_a_batch_writes_its_actor_before_with_and_after_the_rows(broker: Broker) -> None:
    runner = work_until_drained(broker)
    publish(broker, session_records())
    states: list[str] = []

    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if isinstance(params, dict) and "new_epochs" in params:
            states.append(f"{params['states'][0]}{' with the rows' if connection.in_atomic_block else ''}")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        runner.step()
    runner.end()
    assert states == ["writing_to_db", "updating_redis with the rows", "idle"]
    events = TransitionLog.objects.filter(name=FixedTopicConsumer.objects.get().name).values_list("event", flat=True)
    assert {"MESSAGE_RECEIVED", "PROCESS_SUCCESS", "WRITE_SUCCESS", "UPDATE_CACHE_SUCCESS"} <= set(events)


def test_the_cache_holds_the_newest_candle_and_version_after_a_batch(broker: Broker) -> None:
    publish(broker, session_records())
    work_until_drained(broker).end()
    (market,) = ensure_markets([BTC])
    stored = get_redis_connection("default").hgetall(market_key(BTC))
    assert int(stored[b"version"]) == market.version > 0
    assert stored[b"series"].decode() == str(market.series)
    assert b'"60"' in stored[b"candles"]


def test_a_bad_record_is_buried_with_its_bytes_and_the_batch_goes_on(broker: Broker) -> None:
    records = session_records()
    publish(broker, records[:11])
    broker.publisher().publish(TOPIC, [Message(BTC, b'{"type":"trade","price":"much"}')])
    publish(broker, [*records[11:], trade(len(records) + 1, NOON + 400 * SECOND, market="foo:A-B")])
    work_until_drained(broker).end()
    reasons = {bytes(letter.raw)[:20]: letter.reason for letter in DeadLetter.objects.all()}
    assert len(reasons) == 2
    assert any("unknown market" in reason for reason in reasons.values())
    assert Tick.objects.count() == 30


def test_the_same_records_again_change_nothing_not_even_a_version(broker: Broker) -> None:
    publish(broker, session_records())
    work_until_drained(broker).end()
    (market,) = ensure_markets([BTC])
    before = (digest(market), market.version)
    publish(broker, session_records())
    work_until_drained(broker).end()
    market.refresh_from_db()
    assert (digest(market), market.version) == before


def step_until(runner: Runner, done: Callable[[], bool], seconds: float = 20) -> None:
    until(FixedTopicConsumer.objects.values, done, seconds, step=runner.step)


def test_a_flushed_stream_is_waited_for_with_its_reason_and_made_anew(broker: Broker) -> None:
    records = session_records()
    publish(broker, records[:21])
    runner = work_until_drained(broker)
    get_redis_connection("default").flushall()
    row = FixedTopicConsumer.objects.filter(waiting_for__contains="tick-data")
    step_until(runner, row.exists)
    step_until(runner, lambda: TOPIC in broker.admin().topics())
    publish(broker, records[21:])
    step_until(runner, lambda: Tick.objects.count() == 30)
    runner.end()
    assert Coverage.objects.get().reason is None  # what was flushed had been stored: no hole


def test_records_flushed_before_they_were_read_end_the_span_with_their_number(broker: Broker) -> None:
    records = session_records()
    publish(broker, records[:21])
    runner = work_until_drained(broker)
    publish(broker, records[21:25])
    get_redis_connection("default").flushall()
    step_until(runner, lambda: TOPIC in broker.admin().topics())
    publish(broker, records[25:])
    step_until(runner, lambda: Coverage.objects.count() == 2)
    runner.end()
    first, second = Coverage.objects.order_by("start")
    assert first.reason == "stream lost 4 records"
    assert second.start > first.stop


def test_a_cache_that_is_away_holds_no_trade_back_and_is_written_when_it_is_there(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = Runner(FixedTopicWork(TOPIC), Event())
    with monkeypatch.context() as patch:
        patch.setattr(market_cache, "get_redis_connection", lambda _: unreachable_valkey())
        for half, trades in ((session_records()[:31], 15), (session_records()[31:], 30)):
            publish(broker, half)
            step_until(runner, lambda wanted=trades: Tick.objects.count() == wanted)
    stored = get_redis_connection("default")
    step_until(runner, lambda: stored.exists(market_key(BTC)))
    runner.end()


def test_a_topic_that_is_never_empty_counts_as_read(broker: Broker) -> None:
    records = session_records(400)
    note_acknowledged(FEED, moment(NOON + 5), markets=[BTC])
    runner = Runner(FixedTopicWork(TOPIC), Event())

    def drained() -> bool:
        publish(broker, [records.pop(0)])  # before each turn, so that no poll comes back empty
        return Feed.objects.get().drained_at is not None

    step_until(runner, drained)
    runner.end()
    assert FixedTopicConsumer.objects.get().error_count == 0


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_a_consumer_killed_at_any_step_loses_and_doubles_nothing(broker: Broker, step: str) -> None:
    publish(broker, session_records())
    env = os.environ | {"DATABASE_URL": database_url(), "LOG_LEVEL": "ERROR"}
    dead = forked_python.run("-m", "tests.support.consumers.crashing", step, env=env)
    assert dead.returncode == -signal.SIGKILL, dead.stderr
    found = FixedTopicConsumer.objects.get()
    assert found.state in (State.IDLE, State.WRITING_TO_DB, State.UPDATING_REDIS)

    work_until_drained(broker).end()

    actor = FixedTopicConsumer.objects.get()
    assert (actor.name, actor.state, actor.epoch) == (found.name, State.IDLE, found.epoch + 1)
    assert TransitionLog.objects.filter(event="TAKEOVER", name=found.name).count() == 1
    if found.state != State.IDLE:
        assert TransitionLog.objects.filter(name=found.name, reason__contains="abandoned in").exists()
        assert TransitionLog.objects.filter(name=found.name, event="RESET").count() == 1
    assert Tick.objects.count() == 30
    assert sum(candle.trades for candle in Candle.objects.filter(resolution=60)) == 30
    assert (Coverage.objects.get().stop - Coverage.objects.get().start).total_seconds() == 295
