"""The delivery contract of streaming/broker.py as checks, one per point, for any adapter on its server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from functools import partial
from typing import Protocol, TypeVar

from streaming.broker import MAX_RECORD_BYTES, Broker, Message, Record, Subscription
from streaming.errors import BadRecord, GroupLost, PublishFailed, StreamLost, TopicMissing

TOPIC = "tick-data"
OTHER = "other-data"
E = TypeVar("E", bound=Exception)
GROUP, SECOND, THIRD = GROUPS = ("readers", "second-readers", "third-readers")


class Backend(Protocol):
    """An adapter over one empty store, and what the checks must be able to do to that store."""

    slack: float  # seconds that a busy machine may take on top of a timeout
    coming: float  # seconds that a reader may take to come to its records at all

    def broker(self, maxlen: int = 10_000) -> Broker:
        """Return the adapter, as a process that has just started would have it."""

    def lose_group(self, topic: str, group: str) -> None:
        """Remove the group behind the adapter's back."""

    def lose_everything(self) -> None:
        """Remove all topics and groups behind the adapter's back."""

    def expire(self, topic: str, count: int) -> None:
        """Let retention leave about so many of the newest records, where publishing has not done so already."""

    def groups(self) -> set[str]:
        """Return the store's names of all groups."""

    def full(self) -> AbstractContextManager[None]:
        """Let the store refuse records for the length of the block."""


def messages(first: int, last: int, keys: int = 3) -> list[Message]:
    """Return records numbered first to last, dealt out over some keys."""
    return [Message(f"coinbase:K{n % keys}-USD", b"%d" % n) for n in range(first, last + 1)]


def numbers(records: Sequence[Record]) -> list[int]:
    """Return the numbers of such records."""
    return [int(record.value) for record in records]


def open_topic(backend: Backend, *published: Message, topic: str = TOPIC, maxlen: int = 10_000) -> Broker:
    """Make the topic with its groups, then with these records in it: only point 4 is about new groups."""
    broker = backend.broker(maxlen)
    with closing(broker.admin()) as admin:
        admin.create_topic(topic)
    for group in GROUPS:
        broker.subscribe(group, [topic]).close()
    publish(broker, published, topic)
    return broker


def publish(broker: Broker, published: Sequence[Message], topic: str = TOPIC) -> None:
    """Publish by a publisher of its own."""
    with closing(broker.publisher()) as publisher:
        publisher.publish(topic, published)


def drain(subscription: Subscription, limit: int = 500) -> list[Record]:
    """Poll until nothing more comes."""
    records: list[Record] = []
    while batch := subscription.poll(0.02, limit):
        assert len(batch) <= limit
        records += batch
    return records


def read_all(broker: Broker, group: str = GROUP, topics: Sequence[str] = (TOPIC,)) -> list[Record]:
    """Return what a subscription that starts now is given; commit nothing."""
    with closing(broker.subscribe(group, topics)) as subscription:
        return drain(subscription)


def check_order_per_key(backend: Backend) -> None:
    """1: records of one key arrive in the order in which they were published."""
    broker = open_topic(backend)
    for first in range(1, 400, 80):
        publish(broker, messages(first, first + 79))
    with closing(broker.subscribe(GROUP, [TOPIC])) as subscription:
        records = drain(subscription, limit=37)
    for key in {record.key for record in records}:
        arrived = numbers([record for record in records if record.key == key])
        assert arrived == sorted(arrived), key


def check_at_least_once(backend: Backend) -> None:
    """2: every acknowledged record arrives, whole, whichever publisher sent it and however large it is."""
    published = messages(1, 1500)
    large = Message("coinbase:LARGE-USD", b"x" * (MAX_RECORD_BYTES - 100))
    broker = open_topic(backend, *published[:700])
    publish(broker, [*published[700:], large])
    arrived = {(record.topic, record.key, record.value) for record in read_all(broker)}
    assert arrived == {(TOPIC, message.key, message.value) for message in [*published, large]}


def check_commit(backend: Backend) -> None:
    """3: what was committed is done, what was not comes again after a restart."""
    broker = open_topic(backend, *messages(1, 10))
    with closing(broker.subscribe(GROUP, [TOPIC])) as subscription:
        given = {int(record.value): record for record in subscription.poll(1, 10)}
        assert set(given) == set(range(1, 11))
        subscription.commit([given[n] for n in range(1, 5)])
        assert subscription.lag() == 6
    again = backend.broker()
    with closing(again.subscribe(GROUP, [TOPIC])) as subscription:
        rest = drain(subscription)
        assert set(numbers(rest)) == {5, 6, 7, 8, 9, 10}
        subscription.commit(rest)
        subscription.commit(rest)  # once more does no harm
    assert read_all(backend.broker()) == []
    open_topic(backend, *messages(11, 15), topic=OTHER)
    with closing(backend.broker().assign(GROUP, [OTHER, TOPIC])) as subscription:
        subscription.commit([record for record in drain(subscription) if record.topic == TOPIC])
        assert subscription.lags() == {OTHER: 5, TOPIC: 0}


def check_first_start(backend: Backend) -> None:
    """4: a group's first start reads from the beginning of the topic."""
    broker = open_topic(backend, *messages(1, 10))
    for group in ("new", "newer"):
        assert set(numbers(read_all(broker, group))) == set(range(1, 11))


def check_poll_in_time(backend: Backend) -> None:
    """5: poll returns within its timeout, empty when nothing is there, at once when something comes."""
    broker = open_topic(backend)
    with closing(broker.subscribe(GROUP, [TOPIC])) as subscription:
        before = time.monotonic()
        assert subscription.poll(0.01, 10) == []
        assert time.monotonic() - before <= backend.coming
        for timeout in (0.0, 0.3):
            before = time.monotonic()
            assert subscription.poll(timeout, 10) == []
            assert time.monotonic() - before <= timeout + backend.slack
        later = threading.Timer(0.1, publish, (broker, messages(1, 1)))
        later.start()
        before = time.monotonic()
        assert numbers(subscription.poll(1.0, 10)) == [1]
        assert time.monotonic() - before <= 0.1 + backend.slack
        later.join()


def check_retention(backend: Backend) -> None:
    """6: lag counts what is unread, and each loss by retention is named once, with its position."""
    broker = open_topic(backend, *messages(1, 20), maxlen=200)
    with closing(broker.subscribe(GROUP, [TOPIC])) as subscription:
        read = drain(subscription)
        assert subscription.lag() == 20
        for first, last in ((21, 40), (41, 1500)):  # what a reader asks for ahead is some of the first few
            publish(broker, messages(first, last))
        backend.expire(TOPIC, 200)
        rest = drain(subscription)
        losses = subscription.take_losses()
        assert len(losses) == 1, losses
        (loss,) = losses
        # A reader may have had some on their way already: what it was given ends just before the loss.
        records = [*read, *rest]
        place = [record.position for record in records].index(loss.position) + 1
        before, after = records[:place], records[place:]
        assert loss.topic == TOPIC
        assert numbers(before) == list(range(1, len(before) + 1))
        assert numbers(after) == list(range(len(before) + loss.count + 1, 1501))
        assert loss.count > 0
        assert subscription.lag() == len(after)
        assert subscription.take_losses() == []
        subscription.commit(rest)
        assert subscription.lag() == 0


def check_loss_is_an_error(backend: Backend) -> None:
    """7: a lost group or topic raises, it is not retried for ever."""
    broker = open_topic(backend, *messages(1, 10))
    with closing(broker.subscribe(GROUP, [TOPIC])) as subscription:
        given = subscription.poll(1, 10)
        backend.lose_group(TOPIC, GROUP)
        for use in (lambda: subscription.poll(0.1, 10), lambda: subscription.commit(given), subscription.lag):
            _expect(GroupLost, use)
    with closing(broker.subscribe(GROUP, [TOPIC])) as subscription:
        backend.lose_everything()
        _expect(StreamLost, lambda: subscription.poll(0.1, 10))
    for missing in (lambda: broker.subscribe(GROUP, [TOPIC]), lambda: publish(broker, messages(1, 1))):
        _expect(TopicMissing, missing)


def check_publish(backend: Backend) -> None:
    """8: what publish returned for is there; what failed is named, and may be sent again first and in order."""
    broker = open_topic(backend, *messages(1, 10))
    with backend.full():
        failed = _expect(PublishFailed, lambda: publish(broker, messages(11, 30))).failed
    there = set(numbers(read_all(broker)))
    assert set(range(1, 31)) - there <= {11 + index for index in failed}, "an unnamed record is missing"
    assert list(failed) == sorted(set(failed))
    publish(broker, [messages(11, 30)[index] for index in failed] + messages(31, 40))
    assert set(numbers(read_all(broker, SECOND))) == set(range(1, 41))
    for bad in (Message("", b"1"), Message("k", b"x" * MAX_RECORD_BYTES), Message("\ud800", b"1")):
        batch = [*messages(41, 42), bad]
        assert _expect(BadRecord, partial(publish, broker, batch)).index == 2
    assert set(numbers(read_all(broker, THIRD))) == set(range(1, 41)), "something of a refused batch was sent"


def check_topics(backend: Backend) -> None:
    """9: create_topic may be repeated, says whether it created, and takes nothing away."""
    with closing(backend.broker().admin()) as admin:
        assert admin.create_topic(TOPIC) is True
        assert admin.create_topic(TOPIC) is False
        assert admin.create_topic(OTHER, 8) is True
        backend.broker().subscribe(GROUP, [TOPIC]).close()
        publish(backend.broker(), messages(1, 3))
        assert admin.create_topic(TOPIC) is False
        assert _survived(backend) == {1, 2, 3}
        assert admin.topics() == {TOPIC, OTHER}
        assert [admin.delete_topic(TOPIC), admin.delete_topic(TOPIC)] == [True, False]
        assert admin.topics() == {OTHER}
        _expect(ValueError, lambda: admin.create_topic("no topic"))


def check_ownership(backend: Backend) -> None:
    """10: one thread owns a subscription, and a subscription names its topics."""
    broker = open_topic(backend, *messages(1, 3))
    open_topic(backend, *messages(4, 6), topic=OTHER)
    for unnamed in ([], [TOPIC, TOPIC]):
        _expect(ValueError, partial(broker.subscribe, GROUP, unnamed))
    assert {record.topic for record in read_all(broker)} == {TOPIC}
    both = read_all(broker, SECOND, [OTHER, TOPIC])
    expected = {(TOPIC if n < 4 else OTHER, n) for n in range(1, 7)}
    assert {(record.topic, int(record.value)) for record in both} == expected
    with closing(broker.subscribe(THIRD, [TOPIC])) as subscription:
        subscription.poll(0, 10)
        assert isinstance(_in_another_thread(lambda: subscription.poll(0, 10)), RuntimeError)


def check_progress(backend: Backend) -> None:
    """11: progress is the whole group's, committed only; whichever process has read all of it is at its end."""
    broker = open_topic(backend, *messages(1, 10))
    with closing(broker.subscribe(GROUP, [TOPIC])) as subscription:
        records = drain(subscription)
        assert _left(subscription) == 10, "what was only read counts as done"
        subscription.commit(records[:4])
        with closing(broker.subscribe(GROUP, [TOPIC])) as onlooker:
            assert _left(onlooker) == 6
        subscription.commit(records)
        assert _left(subscription) == 0
        publish(broker, messages(11, 12))
        assert _left(subscription) == 2


def check_unread(backend: Backend) -> None:
    """12: unread counts for a group that reads and for one that never began, and changes nothing."""
    broker = open_topic(backend, *messages(1, 10))
    open_topic(backend, *messages(11, 14), topic=OTHER)
    with closing(broker.subscribe(GROUP, [TOPIC])) as subscription:
        given = {int(record.value): record for record in drain(subscription)}
        subscription.commit([given[n] for n in range(1, 5)])
    with closing(broker.assign(SECOND, [OTHER])) as alone:
        alone.commit(drain(alone)[:1])
    before = backend.groups()
    with closing(broker.admin()) as admin:
        assert admin.unread(GROUP, [TOPIC], shared=True) == {TOPIC: 6}
        assert admin.unread(SECOND, [OTHER], shared=False) == {OTHER: 3}
        assert admin.unread("never-began", [TOPIC, OTHER], shared=False) == {TOPIC: 10, OTHER: 4}
        assert admin.unread("never-began", ["no-topic", TOPIC], shared=True) == {TOPIC: 10}
        assert admin.unread(GROUP, [], shared=False) == {}
    assert backend.groups() == before, "asking made a group"
    with closing(broker.admin()) as admin:
        assert admin.unread(GROUP, [TOPIC], shared=True) == {TOPIC: 6}, "asking committed something"


def _left(subscription: Subscription) -> int:
    found = subscription.progress()
    assert found and all(one.done <= one.end for one in found.values())
    return sum(one.end - one.done for one in found.values())


def _survived(backend: Backend) -> set[int]:
    try:
        return set(numbers(read_all(backend.broker())))
    except StreamLost:
        return set()


def _expect(kind: type[E], use: Callable[[], object]) -> E:
    """Return the error of this kind that use() raises; anything else fails the check."""
    try:
        use()
    except kind as exc:
        return exc
    except Exception as exc:
        raise AssertionError(f"{kind.__name__} expected, not {exc!r}") from exc
    raise AssertionError(f"{kind.__name__} expected, nothing was raised")


def _in_another_thread(use: Callable[[], object]) -> Exception | None:
    raised: list[Exception] = []

    def run() -> None:
        try:
            use()
        except Exception as exc:
            raised.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(10)
    return raised[0] if raised else None


CHECKS: dict[int, Callable[[Backend], None]] = {
    1: check_order_per_key,
    2: check_at_least_once,
    3: check_commit,
    4: check_first_start,
    5: check_poll_in_time,
    6: check_retention,
    7: check_loss_is_an_error,
    8: check_publish,
    9: check_topics,
    10: check_ownership,
    11: check_progress,
    12: check_unread,
}
