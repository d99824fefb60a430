"""Reads Kafka for a group: as a member that shares the partitions, or alone with those it is given.

Positions are ours: every partition's committed offset is looked up when the partition comes to us, and each record is
held against the offset that was expected, so that nothing is skipped in silence. The library moves partitions between
members only while we poll, so whoever polls, stores, commits and polls again never commits for another.
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
from streaming.kafka.admin_queries import AdminQueries, at
from streaming.kafka.connection import KafkaConnection, close, translated, wire_name, wire_names
from streaming.kafka.consumer_group import Group, Offsets
from streaming.kafka.position import Position, parse

log = structlog.get_logger(__name__)
# An empty answer says that nothing is there; where something is, it may take so long to come.
HERE_WITHIN = 2.5  # seconds
LONGEST_WAIT = 1.0  # seconds one poll waits at most: a stop is never held
COMMIT_WITHIN = 3000  # milliseconds
CLOSE_WITHIN = 1000  # milliseconds


class _Moves(ConsumerRebalanceListener):  # type: ignore[misc]
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

    def __init__(self, link: KafkaConnection, group: str, topics: Sequence[str], *, shares: bool) -> None:
        """shares: the partitions are shared out among all subscriptions of the group, else all are ours."""
        self._names = wire_names(topics)
        self._link = link
        self._shares = shares
        self._questions = AdminQueries(link)
        self._consumer: Any = None
        self._moves = _Moves()
        self._places: dict[TopicPartition, Position] = {}
        self._delivered: Offsets = {}  # the offset behind the last record, of whatever was ever ours
        self._losses: list[Loss] = []
        self._is_member = False
        self._was_told = False  # that nothing is left for this member
        self._owner: int | None = None
        try:
            self._group = Group(self._questions, group, self._names, shares=shares)
            if not shares:
                self._places = self._at(self._group.committed())
        except BaseException:
            self._questions.close()
            raise

    def poll(self, timeout: float, limit: int) -> list[Record]:
        """Return up to `limit` records, waiting at most `timeout` (and LONGEST_WAIT) seconds. Raises StreamLost.

        An empty answer to a timeout above 0 says that nothing is there; a member that has just come first waits for
        its partitions.
        """
        self._own()
        records = self._take(min(timeout, LONGEST_WAIT), limit)
        return records if records or timeout <= 0 else self._make_sure(limit)

    def commit(self, records: Sequence[Record]) -> None:
        """Mark these records (in delivery order), and with them all before them, as done. Raises StreamLost.

        A partition that has gone to another member meanwhile is left out: its records come again there.
        """
        self._own()
        last = {(record.topic, parse(record.position)[0]): record.position for record in records}
        asked = {
            TopicPartition(wire_name(topic), partition): parse(position)[1] + 1
            for (topic, partition), position in last.items()
        }
        for part, offset in asked.items():
            if offset > self._delivered.get(part, 0):
                raise ValueError(f"{offset - 1} of {part} was not delivered by this subscription")
        self._move({part: offset for part, offset in asked.items() if self._is_new(part, offset)})

    def lag(self) -> int:
        """Return how many records of its topics this group has not committed, those that are still there."""
        return sum(stand.end - stand.done for stand in self.progress().values())

    def lags(self) -> dict[str, int]:
        """Return the same of each topic apart."""
        lags = dict.fromkeys(self._names.values(), 0)
        for name, stand in self.progress().items():
            lags[name.partition(":")[0]] += stand.end - stand.done
        return lags

    def progress(self) -> dict[str, Progress]:
        """Return how far the whole group is, by partition; what retention took counts as done. Raises StreamLost."""
        self._own()
        return self._group.progress(*self._look())

    def take_losses(self) -> list[Loss]:
        """Return the losses seen since the last call."""
        self._own()
        losses, self._losses = self._losses, []
        return losses

    def close(self) -> None:
        """Leave the group and give the connections back; nothing is committed."""
        self._leave()
        self._questions.close()

    def _own(self) -> None:
        """Refuse a second thread: two of them would take each other's records."""
        thread = threading.get_ident()
        self._owner = self._owner or thread
        if self._owner != thread:
            raise RuntimeError("a subscription belongs to the thread that first used it")

    # --- reading ---

    def _take(self, timeout: float, limit: int) -> list[Record]:
        """Return what the library has; where anything goes wrong, begin anew with what is committed."""
        try:
            consumer = self._reader()
            with translated():
                found = consumer.poll(timeout_ms=int(timeout * 1000), max_records=max(1, limit))
            # What lies in no place was taken from us while it was on its way: it comes to whoever has it now. What has
            # just come is read anew from the place that we give it.
            fresh = self._adopt()
            ours = {part: batch for part, batch in found.items() if part in self._places.keys() - fresh}
            return [record for part, batch in ours.items() for record in self._deliver(part, batch)]
        except BaseException:
            self._leave()
            raise

    def _deliver(self, part: TopicPartition, batch: Sequence[Any]) -> list[Record]:
        place = self._places[part]
        records = place.take(batch, self._delivered.get(part, 0), self._losses)
        self._delivered[part] = max(self._delivered.get(part, 0), place.next)
        return records

    def _make_sure(self, limit: int) -> list[Record]:
        """Return what is there after all. Raises StreamUnavailable where it does not come."""
        deadline = time.monotonic() + HERE_WITHIN
        while True:
            ends, _ = self._look()
            behind = [part for part, place in self._places.items() if place.next < ends[part]]
            if not behind and (self._is_member or not self._shares):
                self._tell_if_idle()
                return []
            if records := self._take(0.1, limit):
                return records
            if time.monotonic() > deadline:
                return self._give_up(behind)

    def _give_up(self, behind: Sequence[TopicPartition]) -> list[Record]:
        if not behind:
            return []  # the group waits for a member that is busy
        self._leave()
        raise StreamUnavailable(f"the records of {self._names[behind[0].topic]} do not come")

    def _reader(self) -> Any:
        if self._consumer is None:
            self._consumer = consumer = self._link.consumer(self._group.member_of)
            with translated():
                if self._shares:
                    consumer.subscribe(list(self._names), listener=self._moves)
                    for name in self._names:
                        # Or it joins before it knows any partition, deals out none, and then all once more.
                        consumer.partitions_for_topic(name)
                else:
                    consumer.assign(list(self._places))
                    for part, place in self._places.items():
                        consumer.seek(part, place.next)
        return self._consumer

    def _leave(self) -> None:
        """Let go of what we read; the next poll begins with what is committed, or where we alone are."""
        consumer, self._consumer = self._consumer, None
        close(consumer, autocommit=False, timeout_ms=CLOSE_WITHIN)
        self._moves.noted.clear()
        if self._shares:
            self._places.clear()
            self._is_member = False

    # --- partitions that come and go ---

    def _adopt(self) -> set[TopicPartition]:
        """Take up the partitions that have come, and return them; forget those that have gone."""
        fresh: set[TopicPartition] = set()
        while self._moves.noted:
            came, parts = self._moves.noted.popleft()
            self._is_member = came  # in between, the partitions are being dealt out
            fresh = fresh | parts if came else fresh - parts
            for part in parts:
                self._places.pop(part, None)
        if fresh:
            # The library itself may go on where it was, though others have read on meanwhile.
            offsets = self._group.first(fresh, self._send)
            for part, offset in offsets.items():
                self._consumer.seek(part, offset)
            self._places |= self._at(offsets)
        return fresh

    def _at(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, Position]:
        return {part: Position(self._names[part.topic], part.partition, offset) for part, offset in offsets.items()}

    def _tell_if_idle(self) -> None:
        if self._places:
            self._was_told = False
        elif not self._was_told:
            self._was_told = True
            log.warning(
                "this consumer has no partition to read",
                topics=list(self._names.values()),
                partitions=len(self._group.partitions),
                hint="run at most as many consumers as the topic has partitions; this one stands by",
            )

    # --- committing ---

    def _is_new(self, part: TopicPartition, offset: int) -> bool:
        place = self._places.get(part)
        return place is not None and offset > place.done

    def _look(self) -> tuple[Offsets, Offsets]:
        """Return where the partitions end and what is committed. Raises TopicMissing, GroupLost."""
        ends, committed = self._group.look()
        self._check(committed)
        return ends, committed

    def _check(self, committed: Offsets) -> None:
        """Raise GroupLost where somebody else moved what is ours alone."""
        for part, place in self._places.items():
            if not self._shares and not place.done <= committed[part] <= place.asked:
                raise GroupLost(f"somebody else moved the group's position in {place.topic}")

    def _move(self, moves: Offsets) -> None:
        if self._shares and moves:
            # The library commits for others too: what the group gave to another member is not ours to commit.
            ours = self._consumer.assignment()
            moves = {part: offset for part, offset in moves.items() if part in ours}
        if not moves:
            return
        if not self._shares:
            self._check(self._group.committed())
        for part, offset in moves.items():
            self._places[part].asked = offset  # from here on the cluster may have it, whatever we hear
        (self._send if self._shares else self._group.commit)(moves)
        for part, offset in moves.items():
            self._places[part].done = offset

    def _send(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit as a member."""
        with translated():
            self._consumer.commit({part: at(offset) for part, offset in offsets.items()}, timeout_ms=COMMIT_WITHIN)
