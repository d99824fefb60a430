"""The broker's port: the delivery contract that every adapter keeps (tests/streaming/test_contract.py proves it).

1. Records of one key arrive in the order in which they were published.
2. Every acknowledged record arrives at least once.
3. `commit` marks records as done; callers commit only after the database has. What was not committed comes again
   after a restart.
4. A group's first start reads from the beginning of the topic.
5. `poll` returns within its timeout, empty if nothing is there (for this reader; a timeout of 0 only takes what has
   arrived). If the reader has just joined, or records are known to be there, it may take some seconds more.
6. Retention may drop unread records. `lag` counts what is still unread, and every loss is named once by
   `take_losses`, with its position.
7. A lost group or topic raises GroupLost or TopicMissing, it is not retried forever.
8. `publish` returns when the broker has acknowledged all; PublishFailed names the records that failed, and the
   caller resends them first and in order.
9. `create_topic` may be repeated and returns whether it created the topic.
10. One thread owns a subscription; a subscription names its topics.
11. `progress` covers the whole group and every partition, whichever member reads it: a reader that shares a topic
    must not take its own silence for the end.
12. `unread` only reads: it makes no group, commits nothing and joins nothing, so a monitor may ask at any time.

Every method may raise StreamUnavailable and recovers by itself: the next call connects again. A broker that does not
answer at all holds a call for less than five seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import msgspec

from streaming.errors import BadRecord
from streaming.refusals import RefusalCode

MAX_RECORD_BYTES = 512 * 1024  # of key and value together; every broker accepts them


# Structs, not dataclasses: thousands are made per poll, and these cost a fifth.
class Message(msgspec.Struct, frozen=True, gc=False):
    """A record to publish: the key (market) decides order, the value is JSON."""

    key: str
    value: bytes


class Record(msgspec.Struct, frozen=True, gc=False):
    """A record as delivered; `position` is the broker's own, only to be shown and committed."""

    topic: str
    key: str
    value: bytes
    position: str


@dataclass(frozen=True, slots=True)
class Loss:
    """Records that retention removed before they were read: `count` of them after `position`."""

    topic: str
    position: str
    count: int


class Progress(NamedTuple):
    """How far a group is in one partition, in the broker's own count of records."""

    done: int  # committed, or removed by retention
    end: int  # ever published


class Publisher(Protocol):
    """Writes records; safe to use from one thread."""

    def publish(self, topic: str, messages: Sequence[Message]) -> None:
        """Return when all are acknowledged; raise PublishFailed, TopicMissing or BadRecord.

        If check_messages below raised the BadRecord, nothing was sent. If the broker refused the record, the others may
        be there, and are to be sent again without it.
        """

    def close(self) -> None:
        """Close the connection."""


class Subscription(Protocol):
    """Reads the topics it names for one group, from after the last committed record."""

    def poll(self, timeout: float, limit: int) -> list[Record]:
        """Return up to `limit` records, waiting at most `timeout` seconds for the first; raise StreamLost."""

    def commit(self, records: Sequence[Record]) -> None:
        """Mark these records (in delivery order), and with them all before them, as done; raise StreamLost."""

    def lag(self) -> int:
        """Return how many records of its topics this group has not committed."""

    def lags(self) -> dict[str, int]:
        """Return the lag of each topic; 0: all that was in it at the time of the call is committed."""

    def progress(self) -> Mapping[str, Progress]:
        """Return how far the whole group is, by partition; raise StreamLost."""

    def take_losses(self) -> list[Loss]:
        """Return the losses seen since the last call."""

    def close(self) -> None:
        """Close the connection; nothing is committed."""


class TopicAdmin(Protocol):
    """Makes and removes topics."""

    def create_topic(self, name: str, partitions: int = 1) -> bool:
        """Make the topic; True if this call created it."""

    def delete_topic(self, name: str) -> bool:
        """Remove the topic with its groups; True if it was there."""

    def topics(self) -> set[str]:
        """Return the names of all topics."""

    def unread(self, group: str, topics: Sequence[str], *, shared: bool) -> dict[str, int]:
        """Return by topic how many records are there that the group has not committed; changes nothing.

        shared: whether the group reads these topics, all of them in one subscribe() and no others, or each by assign().
        If it has not begun, every record counts. A topic that does not exist is left out.
        """

    def close(self) -> None:
        """Close the connection."""


class Broker(Protocol):
    """One broker: the factory of the three roles above (streaming.broker_factory.connect gives the configured one)."""

    shares: bool  # whether subscriptions of one group read a topic together; if not, one at a time may read it

    def publisher(self) -> Publisher:
        """Return a new publisher."""

    def subscribe(self, group: str, topics: Sequence[str]) -> Subscription:
        """Return a subscription from the group's committed position; raise TopicMissing.

        If the broker has partitions, all subscriptions of the group share them.
        """

    def assign(self, group: str, topics: Sequence[str]) -> Subscription:
        """Return a subscription that has these topics to itself, however that is arranged; raise TopicMissing.

        Nothing waits for other members of the group, so a change of topics is a new subscription.
        """

    def admin(self) -> TopicAdmin:
        """Return the topic administration."""


def check_messages(messages: Sequence[Message]) -> None:
    """Raise BadRecord, with its index, for the first message that no broker would accept."""
    for index, message in enumerate(messages):
        if reason := _refusal(message):
            raise BadRecord(f"record {index} ({message.key[:100]!r}): {reason}", index, RefusalCode.OTHER)


def batch_ranges(messages: Sequence[Message], max_records: int, max_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield start and stop of each batch; only a batch of one record may exceed max_bytes (of values)."""
    start, size = 0, 0
    for index, message in enumerate(messages):
        if index > start and (index - start == max_records or size + len(message.value) > max_bytes):
            yield start, index
            start, size = index, 0
        size += len(message.value)
    if messages:
        yield start, len(messages)


def _refusal(message: Message) -> str | None:
    size = len(message.value)
    if message.key.isascii():
        size += len(message.key)
    else:
        try:
            size += len(message.key.encode())
        except UnicodeEncodeError:
            return "its key is not Unicode text"
    if not message.key:
        return "its key is empty"
    return f"{size:,} bytes, at most {MAX_RECORD_BYTES:,} are possible" if size > MAX_RECORD_BYTES else None
