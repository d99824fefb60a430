"""A database or a broker that goes away under the consumers of many topics, and comes back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db.models.functions import Now
from django_redis import get_redis_connection

from actor_runtime.loop.pool_loop import ActorPool
from actor_runtime.models import TransitionLog
from consumers import batch_store
from datastore.ingest.live_write import store_live
from datastore.models import Tick
from streaming.redis.broker import RedisBroker
from tests.support.actor_runtime.work import Hands
from tests.support.consumers.dynamic import (
    all_consuming,
    make_topics,
    pool_of,
    publish,
    records,
    rows,
    states,
    step_until,
    unread,
)
from tests.support.postgres import Server
from tests.support.valkey import private_valkey

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def empty_valkey() -> Iterator[None]:
    get_redis_connection("default").flushall()
    yield
    get_redis_connection("default").flushall()


def steps_for(ours: ActorPool, hands: Hands, seconds: float) -> None:
    """Let the pool do what it wants for a span of mocked time."""
    end = hands.seconds + seconds
    while hands.seconds < end:
        hands.seconds += max(0.25, ours.step())  # an idle turn waits that long for records


def test_a_server_that_dies_inside_the_transaction_is_a_failure_of_those_in_it_alone(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(ready):  # type: ignore[no-untyped-def]
        found = store_live(ready)
        server.stop()
        return found

    hands = Hands()
    ours = pool_of(hands)
    make_topics(3)
    step_until(all_consuming(3), ours)
    for number in range(2):
        publish(number, records(number))
    with monkeypatch.context() as patch:
        patch.setattr(batch_store, "store_live", cut_off)
        hands.seconds += 0.6
        ours.step()
    failed_at = hands.clock.now()
    steps_for(ours, hands, 60)
    assert ours.away
    server.start()
    steps_for(ours, hands, 10)
    assert Tick.objects.count() == 20
    assert not unread(0, 1, 2)
    assert states() == {"consuming"}
    assert set(rows().values_list("epoch", "waiting_for")) == {(1, None)}
    failures = TransitionLog.objects.filter(event="WRITE_FAILURE")
    assert {row.first_at for row in failures} == {failed_at} and len(failures) == 2
    assert {row.by for row in TransitionLog.objects.filter(event="RESET")} == {"automatic, the database is back"}
    ours.end()


def test_an_outage_while_consuming_is_waited_out_and_who_was_replaced_in_it_stops(server: Server) -> None:
    hands = Hands()
    ours = pool_of(hands)
    make_topics(2)
    step_until(all_consuming(2), ours)
    server.stop()
    steps_for(ours, hands, 30)
    assert ours.away
    server.start()
    replaced = rows()[0]
    rows().filter(pk=replaced.pk).update(epoch=2, owner="other:1:1", heartbeat_at=Now())
    steps_for(ours, hands, 6)
    assert not ours.away
    assert replaced.name not in ours.actors and len(ours.actors) == 1
    assert not TransitionLog.objects.filter(event="RESET").exists()
    publish(1, records(1))
    step_until(lambda: Tick.objects.count() == 10, ours)
    ours.end()
    assert rows().get(pk=replaced.pk).owner == "other:1:1"


@pytest.mark.slow
def test_a_broker_that_is_away_is_waited_for_in_consuming(settings) -> None:  # type: ignore[no-untyped-def]
    with private_valkey() as valkey:
        settings.STREAM_URL = valkey.url
        make_topics(2)
        ours = pool_of()
        step_until(all_consuming(2), ours)
        valkey.kill()
        step_until(lambda: rows().filter(waiting_for__startswith="StreamUnavailable").count() == 2, ours)
        assert states() == {"consuming"}
        valkey.start()
        step_until(lambda: rows().filter(waiting_for=None).count() == 2, ours)
        broker = RedisBroker(valkey.url, 1000)
        for number in range(2):
            broker.admin().create_topic(f"dyn-coinbase-D{number:03}-USD-g{number}")
            publish(number, records(number))
        step_until(lambda: Tick.objects.count() == 20, ours)
        ours.end()
    assert not TransitionLog.objects.filter(target="error").exists()
