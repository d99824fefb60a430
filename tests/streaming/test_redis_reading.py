from __future__ import annotations

import threading
from contextlib import closing

import pytest

from streaming.broker import Message
from streaming.redis.broker import KEY_PREFIX, RedisBroker
from tests.support.streaming.contract import GROUP, TOPIC, drain, messages, numbers, publish, read_all
from tests.support.valkey import PrivateValkey


def test_a_large_backlog_is_read_in_order_counted_and_trimmed(valkey: PrivateValkey, broker: RedisBroker) -> None:
    publish(broker, messages(1, 60_000))
    with closing(broker.subscribe(GROUP, [TOPIC])) as subscription:
        assert subscription.lag() == 60_000
        given = 0
        while records := subscription.poll(0, 5000):
            assert numbers(records) == list(range(given + 1, given + 1 + len(records)))
            given += len(records)
            subscription.commit(records)
        assert (given, subscription.lag(), subscription.take_losses()) == (60_000, 0, [])
    with valkey.client() as client:
        assert client.xlen(KEY_PREFIX + TOPIC) < 200


def test_a_stream_is_trimmed_only_as_far_as_its_slowest_group(valkey: PrivateValkey, broker: RedisBroker) -> None:
    publish(broker, messages(1, 3000))
    with closing(broker.subscribe("fast", [TOPIC])) as fast, closing(broker.subscribe("slow", [TOPIC])) as slow:
        fast.commit(drain(fast))
        slow.commit(slow.poll(0, 1000))
        assert numbers(drain(slow)) == list(range(1001, 3001))
        assert slow.take_losses() == fast.take_losses() == []
    with valkey.client() as client:
        assert 2000 <= client.xlen(KEY_PREFIX + TOPIC) < 2200


def test_a_group_that_begins_on_a_trimmed_stream_has_lost_nothing(broker: RedisBroker) -> None:
    publish(broker, messages(1, 3000))
    with closing(broker.subscribe(GROUP, [TOPIC])) as subscription:
        subscription.commit(drain(subscription))
    publish(broker, messages(3001, 3010))
    with closing(broker.subscribe("newcomers", [TOPIC])) as newcomer:
        records = drain(newcomer)
        assert numbers(records)[-10:] == list(range(3001, 3011))
        assert newcomer.take_losses() == []
        newcomer.commit(records)
        assert newcomer.lag() == 0


def test_a_loss_during_a_restart_of_the_reader_is_named(broker: RedisBroker, valkey: PrivateValkey) -> None:
    small = RedisBroker(valkey.url, 1000)
    publish(small, messages(1, 500))
    with closing(small.subscribe(GROUP, [TOPIC])) as subscription:
        given = subscription.poll(0, 300)
        subscription.commit(given)
    publish(small, messages(501, 5000))
    with closing(small.subscribe(GROUP, [TOPIC])) as subscription:
        rest = drain(subscription)
        (loss,) = subscription.take_losses()
    assert (loss.position, 300 + loss.count + len(rest)) == (given[-1].position, 5000)


def test_two_publishers_at_once_keep_the_order_of_their_keys(broker: RedisBroker) -> None:
    def run(key: str) -> None:
        with closing(broker.publisher()) as publisher:
            for first in range(0, 2000, 50):
                publisher.publish(TOPIC, [Message(key, b"%d" % n) for n in range(first, first + 50)])

    threads = [threading.Thread(target=run, args=(key,)) for key in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    records = read_all(broker, GROUP)
    for key in ("a", "b"):
        assert [int(record.value) for record in records if record.key == key] == list(range(2000))


def test_a_busy_topic_does_not_starve_the_others(broker: RedisBroker) -> None:
    with closing(broker.admin()) as admin:
        for n in range(5):
            admin.create_topic(f"quiet-{n}")
            publish(broker, messages(n, n), f"quiet-{n}")
    publish(broker, messages(100, 400))
    with closing(broker.subscribe(GROUP, [TOPIC, *(f"quiet-{n}" for n in range(5))])) as subscription:
        for limit in (1, 12):
            records = [record for _ in range(6) for record in subscription.poll(0, limit)]
            assert len(records) <= 6 * limit
            if limit == 1:
                assert {record.topic for record in records} == {TOPIC, *(f"quiet-{n}" for n in range(5))}
        subscription.commit(records)
        assert len(drain(subscription)) + len(records) + 6 == 306


def test_an_entry_that_somebody_else_wrote_is_delivered_as_it_is(valkey: PrivateValkey, broker: RedisBroker) -> None:
    publish(broker, messages(1, 2))
    with valkey.client() as client:
        client.xadd(KEY_PREFIX + TOPIC, {"what": "is this", "and": "that"})
        client.xadd(KEY_PREFIX + TOPIC, {"k": b"\xff", "v": b"7"})
    records = read_all(broker, GROUP)
    assert [record.value for record in records] == [b"1", b"2", b"what is this and that", b"7"]
    assert [record.key for record in records][2:] == ["", "\ufffd"]


def test_a_commit_names_only_records_of_this_subscription(broker: RedisBroker) -> None:
    publish(broker, messages(1, 4))
    records = read_all(broker, "elsewhere")
    with closing(broker.subscribe(GROUP, [TOPIC])) as subscription, pytest.raises(ValueError, match="not delivered"):
        subscription.commit(records)


def test_commits_may_cover_parts_of_several_polls(broker: RedisBroker) -> None:
    publish(broker, messages(1, 30))
    with closing(broker.subscribe(GROUP, [TOPIC])) as subscription:
        records = [record for _ in range(3) for record in subscription.poll(0, 10)]
        for done, left in ((3, 27), (15, 15), (20, 10), (12, 10), (29, 1)):
            subscription.commit(records[:done])
            assert subscription.lag() == left
    assert numbers(read_all(broker, GROUP)) == [30]


def test_a_poll_that_finds_nothing_again_is_one_command_until_the_topic_is_looked_at(
    valkey: PrivateValkey, broker: RedisBroker
) -> None:
    with closing(broker.admin()) as admin:
        admin.create_topic(TOPIC)
    with closing(broker.subscribe(GROUP, [TOPIC])) as subscription, valkey.client() as client:

        def commands() -> int:
            before = client.info("stats")["total_commands_processed"]
            assert subscription.poll(0.02, 10) == []
            return int(client.info("stats")["total_commands_processed"]) - int(before) - 1

        commands()
        subscription._check_at = float("inf")
        assert commands() == commands() == 1
        subscription._check_at = 0.0
        assert commands() > 1
        publish(broker, messages(1, 3))
        assert numbers(subscription.poll(5, 10)) == [1, 2, 3]
