"""What a group has committed of its topics, and whether topics and group are still those that we began with."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from kafka import TopicPartition

from streaming.broker import Progress
from streaming.errors import GroupLost, TopicMissing
from streaming.kafka.admin_queries import AdminQueries, Topic
from streaming.kafka.connection import group_id

Offsets = dict[TopicPartition, int]


class Group:
    """A group of readers of some topics, as the cluster knows it; each answer is asked for anew."""

    def __init__(self, questions: AdminQueries, group: str, names: Mapping[str, str], *, shares: bool) -> None:
        """names: ours by the cluster's. A group that is new here begins with the oldest records. Raises TopicMissing.

        shares: its members share the partitions; else it has no members and never may.
        """
        self._questions = questions
        self._group = group
        self._names = names
        self._shares = shares
        self._wire = group_id(group, names.values()) if shares else group
        self._topics = questions.topics(names)
        self._begun: set[TopicPartition] = set()  # in which the group stands somewhere
        self._begin()

    @property
    def member_of(self) -> str | None:
        """Return the cluster's name of the group that members join, None where there are none."""
        return self._wire if self._shares else None

    @property
    def partitions(self) -> set[TopicPartition]:
        """Return all partitions of the topics."""
        return _partitions(self._topics)

    def committed(self, partitions: Collection[TopicPartition] | None = None) -> Offsets:
        """Return what is committed, where anything is. Raises GroupLost where something was and is no more."""
        asked = self.partitions if partitions is None else set(partitions)
        found = self._questions.committed(self._wire, asked)
        lost = sorted((self._begun & asked) - found.keys())
        if lost:
            raise GroupLost(f"there is no group {self._group} of {self._names[lost[0].topic]}")
        self._begun |= found.keys()
        return found

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit where nobody is a member. Raises GroupLost."""
        self._questions.commit(self._wire, offsets)

    def first(self, fresh: Collection[TopicPartition], commit: Callable[[Offsets], object]) -> Offsets:
        """Return where to begin in partitions that have come; where nobody has begun, commit it. Raises GroupLost."""
        committed = self.committed(fresh)
        starts = self._questions.starts(set(fresh) - committed.keys())
        if starts:
            commit(starts)
        self._begun |= starts.keys()
        return committed | starts

    def look(self) -> tuple[Offsets, Offsets]:
        """Return where each partition ends, and what was committed a moment later. Raises TopicMissing, GroupLost."""
        now = self._questions.topics(self._names)
        for name, topic in now.items():
            if topic.id != self._topics[name].id:
                raise TopicMissing(f"{self._names[name]} was deleted and made anew")
        if not self._shares and _partitions(now) != self.partitions:
            raise GroupLost("the topic has other partitions than before")
        self._topics = now
        return self._questions.ends(self.partitions), self.committed()

    def progress(self, ends: Offsets, committed: Offsets) -> dict[str, Progress]:
        """Return how far the whole group is, by partition; what retention took counts as done."""
        starts = self._questions.starts(ends)
        return {
            f"{self._names[part.topic]}:{part.partition}": Progress(
                min(end, max(starts[part], committed.get(part, 0))), end
            )
            for part, end in ends.items()
        }

    def _begin(self) -> None:
        new = self._questions.starts(self.partitions - self.committed().keys())
        try:
            self.commit(new)
            self._begun |= new.keys()
        except GroupLost:
            if not self._shares:
                raise
            # It has members: whoever has such a partition begins it.


def _partitions(topics: Mapping[str, Topic]) -> set[TopicPartition]:
    return {part for topic in topics.values() for part in topic.partitions}
