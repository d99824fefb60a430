"""Reads Kafka for a group: as a member that shares the partitions, or alone with those it is given.

Positions are ours: every partition's committed offset is looked up when the partition comes to us, and each record is
compared with the offset that was expected, so that nothing is skipped in silence. The library moves partitions between
members only while we poll, so a loop of poll, store and commit never commits for another member.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from kafka import ConsumerRebalanceListener, TopicPartition

from streaming.broker import Loss, Progress, Record
from streaming.errors import GroupLost, StreamUnavailable
from streaming.kafka.admin_queries import AdminQueries, committable
from streaming.kafka.connection import KafkaConnection, close_quietly, wire_name, wire_names
from streaming.kafka.consumer_group import ConsumerGroup, Offsets
from streaming.kafka.errors import translated_errors
from streaming.kafka.position import PartitionPosition, parse_position

log = structlog.get_logger(__name__)
# An empty answer says that nothing is there; records that are there may take so long to arrive.
ARRIVAL_TIMEOUT_S = 2.5
MAX_POLL_WAIT_S = 1.0  # a stop is never held up
COMMIT_TIMEOUT_MS = 3000
CLOSE_TIMEOUT_MS = 1000


class _RebalanceLog(ConsumerRebalanceListener):  # type: ignore[misc]
    """Notes which partitions come and go; it is called by the library's own thread."""

    def __init__(self) -> None:
        self.noted: deque[tuple[bool, frozenset[TopicPartition]]] = deque()

    def on_partitions_assigned(self, assigned: Any) -> None:
        self.noted.append((True, frozenset(assigned)))

    def on_partitions_revoked(self, revoked: Any) -> None:
        self.noted.append((False, frozenset(revoked)))

    on_partitions_lost = on_partitions_revoked


class KafkaSubscription:
    """Reads topics from a group's committed offsets; a new group begins with the oldest records."""

    def __init__(self, connection: KafkaConnection, group: str, topics: Sequence[str], *, shares: bool) -> None:
        """Look the group up; shares: all subscriptions of the group share the partitions, else all are ours."""
        self._names = wire_names(topics)
        self._connection = connection
        self._shares = shares
        self._queries = AdminQueries(connection)
        self._consumer: Any = None
        self._rebalances = _RebalanceLog()
        self._positions: dict[TopicPartition, PartitionPosition] = {}
        self._delivered: Offsets = {}  # the offset after the last record, of every partition that was ever ours
        self._losses: list[Loss] = []
        self._is_member = False
        self._idle_logged = False  # that no partition is left for this member
        self._thread_id: int | None = None
        try:
            self._group = ConsumerGroup(self._queries, group, self._names, shares=shares)
            if not shares:
                self._positions = self._positions_at(self._group.committed())
        except BaseException:
            self._queries.close()
            raise

    def poll(self, timeout: float, limit: int) -> list[Record]:
        """Return up to `limit` records, waiting at most `timeout` (and MAX_POLL_WAIT_S) seconds; raise StreamLost.

        An empty answer to a timeout above 0 says that nothing is there; a member that has just come first waits for
        its partitions.
        """
        self._check_thread()
        records = self._take(min(timeout, MAX_POLL_WAIT_S), limit)
        return records if records or timeout <= 0 else self._wait_for_arrivals(limit)

    def commit(self, records: Sequence[Record]) -> None:
        """Mark these records (in delivery order), and with them all before them, as done; raise StreamLost.

        A partition that another member has got since is left out: its records come again there.
        """
        self._check_thread()
        last = {(record.topic, parse_position(record.position)[0]): record.position for record in records}
        asked = {
            TopicPartition(wire_name(topic), partition): parse_position(position)[1] + 1
            for (topic, partition), position in last.items()
        }
        for part, offset in asked.items():
            if offset > self._delivered.get(part, 0):
                raise ValueError(f"{offset - 1} of {part} was not delivered by this subscription")
        held = {part: offset for part, offset in asked.items() if part in self._positions}

        offsets = {part: offset for part, offset in held.items() if offset > self._positions[part].done}
        if self._shares and offsets:
            # The library would commit for others too: what the group gave to another member is not ours to commit.
            ours = self._consumer.assignment()
            offsets = {part: offset for part, offset in offsets.items() if part in ours}
        if offsets:
            if not self._shares:
                self._check_owned(self._group.committed())
            for part, offset in offsets.items():
                self._positions[part].asked = offset  # from here on the cluster may have it, whatever it answers
            (self._commit_as_member if self._shares else self._group.commit)(offsets)
            for part, offset in offsets.items():
                self._positions[part].done = offset

    def lag(self) -> int:
        """Return how many records of its topics this group has not committed, counting those that are still there."""
        return sum(progress.end - progress.done for progress in self.progress().values())

    def lags(self) -> dict[str, int]:
        """Return the lag of each topic."""
        lags = dict.fromkeys(self._names.values(), 0)
        for name, progress in self.progress().items():
            lags[name.partition(":")[0]] += progress.end - progress.done
        return lags

    def progress(self) -> dict[str, Progress]:
        """Return how far the whole group is, by partition; what retention took counts as done. Raise StreamLost."""
        self._check_thread()
        return self._group.progress(*self._ends_and_committed())

    def take_losses(self) -> list[Loss]:
        """Return the losses seen since the last call."""
        self._check_thread()
        losses, self._losses = self._losses, []
        return losses

    def close(self) -> None:
        """Leave the group and close the connections; nothing is committed."""
        self._leave()
        self._queries.close()

    def _check_thread(self) -> None:
        """Refuse a second thread: two of them would take each other's records."""
        thread = threading.get_ident()
        self._thread_id = self._thread_id or thread
        if self._thread_id != thread:
            raise RuntimeError("a subscription belongs to the thread that first used it")

    # --- reading ---

    def _take(self, timeout: float, limit: int) -> list[Record]:
        """Return what the library has; if anything goes wrong, start over from what is committed."""
        try:
            consumer = self._reader()
            with translated_errors():
                found = consumer.poll(timeout_ms=int(timeout * 1000), max_records=max(1, limit))

            # Set the positions of the partitions that have come, and forget those that have gone.
            fresh: set[TopicPartition] = set()
            while self._rebalances.noted:
                came, parts = self._rebalances.noted.popleft()
                self._is_member = came  # in between, the partitions are being handed out
                fresh = fresh | parts if came else fresh - parts
                for part in parts:
                    self._positions.pop(part, None)
            if fresh:
                # The library itself may continue where it was, though other members have read on since.
                offsets = self._group.starts_of(fresh, self._commit_as_member)
                for part, offset in offsets.items():
                    self._consumer.seek(part, offset)
                self._positions |= self._positions_at(offsets)

            # Records of a partition that we lost while they were on their way come to its new member. A partition that
            # has just come is read again from the position that we set.
            records: list[Record] = []
            for part, batch in found.items():
                position = self._positions.get(part)
                if position is None or part in fresh:
                    continue
                delivered = self._delivered.get(part, 0)
                records += position.take(batch, delivered, self._losses)
                self._delivered[part] = max(delivered, position.next)
            return records
        except BaseException:
            self._leave()
            raise

    def _wait_for_arrivals(self, limit: int) -> list[Record]:
        """Return what is there after all; raise StreamUnavailable if it does not arrive."""
        deadline = time.monotonic() + ARRIVAL_TIMEOUT_S
        while True:
            ends, _ = self._ends_and_committed()
            behind = [part for part, position in self._positions.items() if position.next < ends[part]]
            if not behind and (self._is_member or not self._shares):
                if self._positions:
                    self._idle_logged = False
                elif not self._idle_logged:
                    self._idle_logged = True
                    log.warning(
                        "this consumer has no partition to read",
                        topics=list(self._names.values()),
                        partitions=len(self._group.partitions),
                        hint="run at most as many consumers as the topic has partitions; this one stands by",
                    )
                return []
            if records := self._take(0.1, limit):
                return records
            if time.monotonic() > deadline:
                if not behind:
                    return []  # the group waits for a member that is busy
                self._leave()
                raise StreamUnavailable(f"the records of {self._names[behind[0].topic]} do not come")

    def _reader(self) -> Any:
        if self._consumer is None:
            self._consumer = consumer = self._connection.consumer(self._group.member_group_id)
            with translated_errors():
                if self._shares:
                    consumer.subscribe(list(self._names), listener=self._rebalances)
                    for name in self._names:
                        # Else it joins before it knows any partition, hands out none, and then all once more.
                        consumer.partitions_for_topic(name)
                else:
                    consumer.assign(list(self._positions))
                    for part, position in self._positions.items():
                        consumer.seek(part, position.next)
        return self._consumer

    def _leave(self) -> None:
        """Close the consumer; the next poll begins with what is committed, or where we are if nothing is shared."""
        consumer, self._consumer = self._consumer, None
        close_quietly(consumer, autocommit=False, timeout_ms=CLOSE_TIMEOUT_MS)
        self._rebalances.noted.clear()
        if self._shares:
            self._positions.clear()
            self._is_member = False

    # --- partitions that come and go ---

    def _positions_at(self, offsets: Offsets) -> dict[TopicPartition, PartitionPosition]:
        return {
            part: PartitionPosition(self._names[part.topic], part.partition, offset) for part, offset in offsets.items()
        }

    # --- committing ---

    def _ends_and_committed(self) -> tuple[Offsets, Offsets]:
        """Return where the partitions end and what is committed; raise TopicMissing, GroupLost."""
        ends, committed = self._group.ends_and_committed()
        self._check_owned(committed)
        return ends, committed

    def _check_owned(self, committed: Offsets) -> None:
        """Raise GroupLost if another reader moved what is ours alone."""
        for part, position in self._positions.items():
            if not self._shares and not position.done <= committed[part] <= position.asked:
                raise GroupLost(f"another reader moved the group's position in {position.topic}")

    def _commit_as_member(self, offsets: Mapping[TopicPartition, int]) -> None:
        wanted = {part: committable(offset) for part, offset in offsets.items()}
        with translated_errors():
            self._consumer.commit(wanted, timeout_ms=COMMIT_TIMEOUT_MS)
