"""Several readers of one topic: they share its partitions, come and go, and lose nothing."""

from __future__ import annotations

from contextlib import closing

import pytest
from structlog.testing import capture_logs

from streaming.broker import Message, Subscription
from streaming.errors import GroupLost
from streaming.kafka.broker import KafkaBroker
from streaming.kafka.connection import group_id
from tests.support.kafka.fixtures import LIBRARY_S_SOCKETS
from tests.support.kafka.group_members import Member, Store, shared
from tests.support.kafka.server import PrivateKafka
from tests.support.polling import until
from tests.support.streaming.contract import GROUP, OTHER, TOPIC, drain, messages, numbers, publish

pytestmark = LIBRARY_S_SOCKETS

KEYS = 40


@pytest.fixture
def eight(broker: KafkaBroker) -> KafkaBroker:
    """The broker with eight partitions of tick-data."""
    with closing(broker.admin()) as admin:
        admin.delete_topic(TOPIC)
        assert admin.create_topic(TOPIC, 8)
    return broker


def left(subscription: Subscription) -> int:
    return sum(stand.end - stand.done for stand in subscription.progress().values())


def test_members_that_come_and_go_lose_nothing_and_keep_the_order_of_each_key(eight: KafkaBroker) -> None:
    store = Store()
    first = Member(eight, store)
    publish(eight, messages(1, 1500, KEYS))
    shared(first)
    second = Member(eight, store)
    publish(eight, messages(1501, 3000, KEYS))
    shared(first, second)
    third = Member(eight, store)
    publish(eight, messages(3001, 4500, KEYS))
    shared(first, second, third)
    first.leave()
    publish(eight, messages(4501, 6000, KEYS))
    shared(second, third)
    second.leave()
    until("all of it", lambda: third.failure or len(store.seen) == 6000, 60)
    third.leave()
    assert store.seen == set(range(1, 6001))
    assert store.in_order()
    with closing(eight.subscribe(GROUP, [TOPIC])) as onlooker:
        assert onlooker.lag() == 0


def test_a_member_tells_of_the_partitions_of_the_others_too(eight: KafkaBroker) -> None:
    with closing(eight.subscribe(GROUP, [TOPIC])) as quiet:
        published = messages(1, 200, KEYS)
        publish(eight, published)
        records = drain(quiet)
        part = records[0].position.partition(":")[0]
        of_one = [record for record in records if record.position.startswith(f"{part}:")]
        quiet.commit(of_one)
        assert quiet.lag() == left(quiet) == 200 - len(of_one)
        assert quiet.lags() == {TOPIC: 200 - len(of_one)}
        assert len(quiet.progress()) == 8
        stand = quiet.progress()[f"{TOPIC}:{part}"]
        assert (stand.done, stand.end) == (len(of_one), len(of_one))


def test_asking_how_far_a_group_is_does_not_make_one_a_member(kafka: PrivateKafka, eight: KafkaBroker) -> None:
    with closing(eight.subscribe(GROUP, [TOPIC])) as onlooker, kafka.client() as client:
        publish(eight, messages(1, 5))
        assert onlooker.lag() == 5
        assert client.describe_groups([group_id(GROUP, [TOPIC])])[group_id(GROUP, [TOPIC])]["members"] == []


def test_a_member_without_a_partition_says_so_with_the_fix(broker: KafkaBroker) -> None:
    store = Store()
    with capture_logs() as logs:
        first = Member(broker, store)
        until("the first has the partition", lambda: first.partitions == 1, 60)
        second = Member(broker, store)
        until("it is notified", lambda: [entry for entry in logs if "no partition" in entry["event"]], 60)
    told = next(entry for entry in logs if "no partition" in entry["event"])
    assert (told["log_level"], told["partitions"], told["topics"]) == ("warning", 1, [TOPIC])
    assert "consumers" in told["hint"]
    idle, busy = sorted([first, second], key=lambda member: member.partitions)
    busy.leave()
    publish(broker, messages(1, 10))
    until("the other takes over", lambda: idle.read == 10 or idle.failure, 60)
    idle.leave()


def test_a_commit_leaves_out_what_has_gone_to_another_member(eight: KafkaBroker) -> None:
    publish(eight, messages(1, 400, KEYS))
    with closing(eight.subscribe(GROUP, [TOPIC])) as slow:
        held = drain(slow)
        store = Store()
        quick = Member(eight, store)
        later: list[int] = []
        until("half of it is gone", lambda: later.extend(numbers(slow.poll(0.1, 500))) or len(slow._positions) == 4, 60)
        until("the other has read its half", lambda: quick.failure or quick.read > 0, 60)
        slow.commit(held)
        until("all is committed", lambda: left(slow) == 0, 60)
        quick.leave()
    kept = {record.position.partition(":")[0] for record in held if int(record.value) not in store.seen}
    assert len(kept) == 4 and store.seen


def test_who_is_assigned_a_topic_reads_all_of_it_and_goes_on_where_the_last_one_stopped(eight: KafkaBroker) -> None:
    with closing(eight.admin()) as admin:
        admin.create_topic(OTHER)
    publish(eight, messages(1, 200, KEYS))
    publish(eight, messages(201, 210), OTHER)
    with closing(eight.assign(GROUP, [TOPIC, OTHER])) as first:
        records = drain(first)
        assert sorted(numbers(records)) == list(range(1, 211))
        first.commit([record for record in records if record.topic == OTHER])
        assert first.lags() == {TOPIC: 200, OTHER: 0}
        publish(eight, messages(211, 215), OTHER)
        assert numbers(drain(first)) == list(range(211, 216))
    with closing(eight.assign(GROUP, [OTHER])) as second:
        assert numbers(drain(second)) == list(range(211, 216))


def test_an_owner_whose_topic_was_given_to_another_is_told(broker: KafkaBroker) -> None:
    publish(broker, messages(1, 10))
    with closing(broker.assign(GROUP, [TOPIC])) as old, closing(broker.assign(GROUP, [TOPIC])) as new:
        kept = old.poll(1, 5)
        new.commit(drain(new))
        for use in (lambda: old.commit(kept), old.lag, lambda: [old.poll(0.1, 10) for _ in range(5)]):
            with pytest.raises(GroupLost):
                use()
        assert new.lag() == 0


def test_commits_may_cover_parts_of_several_polls_and_only_what_was_delivered(broker: KafkaBroker) -> None:
    publish(broker, messages(1, 30))
    with closing(broker.subscribe("elsewhere", [TOPIC])) as elsewhere:
        foreign = drain(elsewhere)
    with closing(broker.subscribe(GROUP, [TOPIC])) as subscription:
        with pytest.raises(ValueError, match="not delivered"):
            subscription.commit(foreign)
        records = [record for _ in range(3) for record in subscription.poll(1, 10)]
        for done, rest in ((3, 27), (15, 15), (20, 10), (12, 10), (29, 1)):
            subscription.commit(records[:done])
            assert subscription.lag() == rest


def test_a_foreign_record_is_delivered_as_it_is(kafka: PrivateKafka, broker: KafkaBroker) -> None:
    from streaming.kafka.connection import KafkaConnection, wire_name
    from streaming.kafka_settings import KafkaAccess

    producer = KafkaConnection(kafka.url, KafkaAccess()).producer()
    producer.send(wire_name(TOPIC), value=b"no key")
    producer.send(wire_name(TOPIC), value=None, key=b"\xff")
    producer.flush()
    producer.close()
    publish(broker, [Message("k", b"1")])
    with closing(broker.subscribe(GROUP, [TOPIC])) as subscription:
        records = drain(subscription)
    assert [(record.key, record.value) for record in records] == [("", b"no key"), ("\ufffd", b""), ("k", b"1")]
