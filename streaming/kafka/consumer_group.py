"""What a group has committed of its topics, and whether topics and group are still those that we began with."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from kafka import TopicPartition

from streaming.broker import Progress
from streaming.errors import GroupLost, TopicMissing
from streaming.kafka.admin_queries import AdminQueries, ClusterTopic
from streaming.kafka.connection import group_id

Offsets = dict[TopicPartition, int]


class ConsumerGroup:
    """A group of readers of some topics, as the cluster knows it; nothing is cached."""

    def __init__(self, queries: AdminQueries, group: str, names: Mapping[str, str], *, shares: bool) -> None:
        """Begin a group that is new here with the oldest records; raise TopicMissing.

        names: ours by the cluster's. shares: its members share the partitions; else it has no members and never may.
        """
        self._queries = queries
        self._group = group
        self._names = names
        self._shares = shares
        self._group_id = group_id(group, names.values()) if shares else group
        self._topics = queries.topics(names)
        self._started: set[TopicPartition] = set()  # those in which the group has a committed offset
        new = queries.starts(self.partitions - self.committed().keys())
        try:
            self.commit(new)
            self._started |= new.keys()
        except GroupLost:
            if not shares:
                raise
            # It has members: the one that gets such a partition begins it.

    @property
    def member_group_id(self) -> str | None:
        """Return the cluster's name of the group that members join; None if it has none."""
        return self._group_id if self._shares else None

    @property
    def partitions(self) -> set[TopicPartition]:
        """Return all partitions of the topics."""
        return _partitions(self._topics)

    def committed(self, partitions: Collection[TopicPartition] | None = None) -> Offsets:
        """Return what is committed, where anything is; raise GroupLost if something was and no longer is."""
        asked = self.partitions if partitions is None else set(partitions)
        found = self._queries.committed(self._group_id, asked)
        lost = sorted((self._started & asked) - found.keys())
        if lost:
            raise GroupLost(f"there is no group {self._group} of {self._names[lost[0].topic]}")
        self._started |= found.keys()
        return found

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit for a group without members; raise GroupLost if it has some."""
        self._queries.commit(self._group_id, offsets)

    def starts_of(self, fresh: Collection[TopicPartition], commit: Callable[[Offsets], object]) -> Offsets:
        """Return where to begin in partitions that have come; commit it where the group never did. Raise GroupLost."""
        committed = self.committed(fresh)
        starts = self._queries.starts(set(fresh) - committed.keys())
        if starts:
            commit(starts)
        self._started |= starts.keys()
        return committed | starts

    def ends_and_committed(self) -> tuple[Offsets, Offsets]:
        """Return where each partition ends, and what was committed a moment later; raise TopicMissing, GroupLost."""
        now = self._queries.topics(self._names)
        for name, topic in now.items():
            if topic.id != self._topics[name].id:
                raise TopicMissing(f"{self._names[name]} was deleted and created again")
        if not self._shares and _partitions(now) != self.partitions:
            raise GroupLost("the topic has other partitions than before")
        self._topics = now
        return self._queries.ends(self.partitions), self.committed()

    def progress(self, ends: Offsets, committed: Offsets) -> dict[str, Progress]:
        """Return how far the whole group is, by partition; what retention took counts as done."""
        starts = self._queries.starts(ends)
        return {
            f"{self._names[part.topic]}:{part.partition}": Progress(
                min(end, max(starts[part], committed.get(part, 0))), end
            )
            for part, end in ends.items()
        }


def _partitions(topics: Mapping[str, ClusterTopic]) -> set[TopicPartition]:
    return {part for topic in topics.values() for part in topic.partitions}
