"""What a real Valkey does to the adapter: killed, frozen, flushed, full, locked, far behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest
import redis

from streaming.broker import Message, Publisher, Subscription
from streaming.errors import GroupLost, PublishFailed, StreamError, StreamLost, StreamUnavailable, TopicMissing
from streaming.redis.broker import PREFIX, RedisBroker
from streaming.redis.connection import RedisConnection, fate
from tests.support.streaming.contract import GROUP, TOPIC, drain, messages, numbers, publish, read_all
from tests.support.valkey import PrivateValkey

FROZEN_WITHIN = 5.0  # seconds


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    before = time.monotonic()
    yield
    assert time.monotonic() - before < seconds


def test_nothing_acknowledged_or_committed_is_lost_when_the_server_is_killed(
    valkey: PrivateValkey, roles: tuple[Publisher, Subscription]
) -> None:
    publisher, subscription = roles
    publisher.publish(TOPIC, messages(1, 30))
    subscription.commit(subscription.poll(1, 10))
    valkey.kill()
    with pytest.raises(StreamUnavailable):
        subscription.poll(1, 10)
    with pytest.raises(PublishFailed) as caught:
        publisher.publish(TOPIC, messages(31, 33))
    assert caught.value.failed == (0, 1, 2)
    valkey.start()
    publisher.publish(TOPIC, messages(31, 33))
    assert subscription.lag() == 23
    assert numbers(drain(subscription)) == list(range(11, 34))


def test_a_frozen_server_is_named_within_five_seconds_and_the_next_call_works(
    valkey: PrivateValkey, broker: RedisBroker, roles: tuple[Publisher, Subscription]
) -> None:
    publisher, subscription = roles
    publisher.publish(TOPIC, messages(1, 5))
    uses = [lambda: publisher.publish(TOPIC, messages(6, 8)), subscription.lag]

    def use_twice(use: Callable[[], object]) -> list[str]:
        # The second time a new connection is made: the kernel takes it, and it is just as silent.
        return [name_of_failure(use) for _ in range(2)]

    def name_of_failure(use: Callable[[], object]) -> str:
        with at_most(FROZEN_WITHIN), pytest.raises(StreamUnavailable) as caught:
            use()
        return type(caught.value).__name__

    with ThreadPoolExecutor(2) as pool, valkey.frozen():
        failures = list(pool.map(use_twice, uses))
    assert failures == [["PublishFailed"] * 2, ["StreamUnavailable"] * 2]
    publisher.publish(TOPIC, messages(6, 8))
    with closing(broker.subscribe(GROUP, [TOPIC])) as again:
        assert set(numbers(drain(again))) == set(range(1, 9))


def test_a_server_frozen_while_a_poll_waits_is_named_within_five_seconds(
    valkey: PrivateValkey, roles: tuple[Publisher, Subscription]
) -> None:
    freezer = threading.Timer(0.2, valkey.freeze)
    freezer.start()
    try:
        with at_most(FROZEN_WITHIN), pytest.raises(StreamUnavailable):
            roles[1].poll(60, 10)
    finally:
        freezer.join()
        valkey.thaw()


def test_a_poll_never_waits_long_enough_to_hold_a_stop(roles: tuple[Publisher, Subscription]) -> None:
    with at_most(2):
        assert roles[1].poll(60, 10) == []


def test_a_flush_while_a_poll_waits_is_a_lost_stream_and_both_can_be_made_anew(
    valkey: PrivateValkey, broker: RedisBroker, roles: tuple[Publisher, Subscription]
) -> None:
    publisher, subscription = roles
    publisher.publish(TOPIC, messages(1, 5))
    subscription.commit(subscription.poll(1, 10))
    flusher = threading.Timer(0.2, valkey.flush)
    flusher.start()
    with at_most(FROZEN_WITHIN), pytest.raises(TopicMissing):
        while True:
            subscription.poll(1, 10)
    flusher.join()
    with pytest.raises(TopicMissing):
        publisher.publish(TOPIC, messages(6, 7))
    with closing(broker.admin()) as admin:
        assert admin.create_topic(TOPIC)
    publisher.publish(TOPIC, messages(6, 7))
    with pytest.raises(GroupLost):
        subscription.poll(1, 10)
    assert numbers(read_all(broker, GROUP)) == [6, 7]


def test_a_commit_never_moves_a_position_in_a_stream_made_anew(
    valkey: PrivateValkey, broker: RedisBroker, roles: tuple[Publisher, Subscription]
) -> None:
    publisher, subscription = roles
    publisher.publish(TOPIC, messages(1, 20))
    first, second = subscription.poll(1, 10), subscription.poll(1, 10)
    subscription.commit(first)
    valkey.flush()
    with closing(broker.admin()) as admin:
        admin.create_topic(TOPIC)
    with closing(broker.subscribe(GROUP, [TOPIC])) as other:
        publisher.publish(TOPIC, messages(21, 25))
        with pytest.raises(GroupLost):
            subscription.commit(second)
        assert numbers(drain(other)) == [21, 22, 23, 24, 25]


def test_an_owner_whose_position_was_taken_over_is_told(broker: RedisBroker) -> None:
    publish(broker, messages(1, 10))
    with closing(broker.subscribe(GROUP, [TOPIC])) as old, closing(broker.subscribe(GROUP, [TOPIC])) as new:
        kept = old.poll(1, 5)
        new.commit(new.poll(1, 10))
        with pytest.raises(GroupLost):
            old.commit(kept)
        with pytest.raises(GroupLost):
            old.poll(0, 10)


def test_a_commit_whose_answer_was_lost_is_no_takeover(
    valkey: PrivateValkey, broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.redis.connection.ANSWER_WITHIN", 0.3)
    publisher, subscription = broker.publisher(), broker.subscribe(GROUP, [TOPIC])
    publisher.publish(TOPIC, messages(1, 10))
    records = subscription.poll(1, 10)
    with valkey.frozen(), pytest.raises(StreamUnavailable):
        subscription.commit(records[:6])  # it lies in the server's socket and is done after the thaw
    assert subscription.poll(0, 10) == []
    subscription.commit(records)
    assert subscription.lag() == 0
    publisher.close()
    subscription.close()


def test_a_full_server_names_the_records_it_refused_and_takes_them_later(
    valkey: PrivateValkey, broker: RedisBroker, roles: tuple[Publisher, Subscription]
) -> None:
    batch = [Message("coinbase:BTC-USD", b"%06d" % n + b"x" * 2000) for n in range(5000)]
    with valkey.client() as client:
        used = client.info("memory")["used_memory"]
    valkey.configure(maxmemory=used + 6_000_000)
    with pytest.raises(PublishFailed, match="maxmemory") as caught:
        roles[0].publish(TOPIC, batch)
    failed = caught.value.failed
    assert 0 < len(failed) < 5000 and failed == tuple(range(failed[0], 5000))
    assert isinstance(roles[1].lag(), int)  # reading goes on
    valkey.configure(maxmemory=0)
    roles[0].publish(TOPIC, [batch[index] for index in failed])
    assert [record.value for record in drain(roles[1])] == [message.value for message in batch]


def test_a_wrong_password_is_said_and_is_over_when_it_is_mended(valkey: PrivateValkey, broker: RedisBroker) -> None:
    locked_out = RedisBroker(valkey.url.replace("redis://:", "redis://:wrong"), 1000).admin()
    with closing(locked_out), pytest.raises(StreamUnavailable, match="password"):
        locked_out.topics()


def test_a_server_that_is_a_replica_is_only_not_available(
    valkey: PrivateValkey, roles: tuple[Publisher, Subscription]
) -> None:
    with valkey.client() as client:
        client.replicaof("127.0.0.1", 1)
        try:
            with pytest.raises(PublishFailed, match="read only replica"):
                roles[0].publish(TOPIC, messages(1, 3))
        finally:
            client.replicaof("no", "one")


@pytest.mark.parametrize("answer", ["BUSY a script", "MISCONF no disk", "NOREPLICAS too few"])
def test_answers_of_a_server_in_trouble_mean_wait(answer: str) -> None:
    assert isinstance(fate(redis.ResponseError(answer)), StreamUnavailable)


def test_a_key_of_another_type_in_the_topics_place_is_no_reason_to_wait(
    valkey: PrivateValkey, broker: RedisBroker
) -> None:
    with valkey.client() as client:
        client.set(PREFIX + "other", "text")
    for use in (lambda: broker.subscribe(GROUP, ["other"]), lambda: publish(broker, messages(1, 1), "other")):
        with pytest.raises(StreamError) as caught:
            use()
        assert not isinstance(caught.value, (StreamUnavailable, StreamLost))


@pytest.mark.parametrize("url", ["redis://127.0.0.1:port", "nothing://here"])
def test_a_wrong_url_is_refused_without_connecting(url: str) -> None:
    with pytest.raises(StreamError, match="URL"):
        RedisConnection(url)


def test_an_interrupt_between_two_answers_does_not_mix_up_the_next_ones(
    roles: tuple[Publisher, Subscription], monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher, subscription = roles
    publisher.publish(TOPIC, messages(1, 5))
    answers = RedisConnection._answer

    def interrupted(link: RedisConnection) -> object:
        monkeypatch.setattr(RedisConnection, "_answer", answers)
        raise KeyboardInterrupt

    monkeypatch.setattr(RedisConnection, "_answer", interrupted)
    with pytest.raises(KeyboardInterrupt):
        subscription.poll(0, 10)
    assert numbers(subscription.poll(0, 10)) == [1, 2, 3, 4, 5]


def test_a_reader_ahead_of_a_stream_made_anew_is_told_though_nothing_was_committed(
    valkey: PrivateValkey, broker: RedisBroker, roles: tuple[Publisher, Subscription]
) -> None:
    publisher, subscription = roles
    publisher.publish(TOPIC, messages(1, 5))
    subscription.poll(1, 10)
    valkey.flush()
    with closing(broker.admin()) as admin:
        admin.create_topic(TOPIC)
    broker.subscribe(GROUP, [TOPIC]).close()
    with pytest.raises(GroupLost, match="made anew"):
        subscription.poll(0, 10)
