"""Records that the broker has not acknowledged yet: by topic, in order, and what became of each dynamic topic.

Dynamic topics are given up one by one: one that is missing, that refuses a record, or that alone accepts nothing
delays neither the others nor the fixed topic.
"""

from __future__ import annotations

from collections.abc import Mapping

from streaming.broker import Message, Publisher
from streaming.errors import BadRecord, PublishFailed, StreamError, StreamUnavailable
from streaming.records import FeedOpened, LiveRecord, encode
from streaming.refusals import Refusal
from streaming.topics import TICK_DATA

# Of the fixed topic, and of all dynamic topics together; as many as the reader's queue holds by default.
MAX_UNSENT_RECORDS = 200_000
# In one call, so that a turn with a backlog still ends before the next heartbeat; more than a turn's frames become.
MAX_PUBLISHED_RECORDS = 10_000
# A topic that fails so many times in a row, while the fixed one does not, is given up.
MAX_FAILURES = 5


class PublishBuffer:
    """What is to be published, and what was."""

    def __init__(self) -> None:
        self.given_up: dict[str, str] = {}  # dynamic topic -> why; for the caller to clear
        self.refused: list[tuple[LiveRecord, Refusal]] = []  # by the broker, and why; for the caller to store and clear
        self.opened: set[str] = set()  # dynamic topics whose feed_opened was acknowledged; for the caller to clear
        self._unsent: dict[str, list[LiveRecord]] = {}
        self._failures: dict[str, int] = {}  # in a row, of a dynamic topic alone
        self._acknowledged: list[tuple[str, list[LiveRecord]]] = []

    def put(self, made: Mapping[str, list[LiveRecord]]) -> None:
        """Add records behind those that wait."""
        for topic, records in made.items():
            if topic in self.given_up:
                continue
            self._unsent.setdefault(topic, []).extend(records)
        while sum(counts := [len(self._unsent[topic]) for topic in self.unsent_dynamic_topics()]) > MAX_UNSENT_RECORDS:
            topic = self.unsent_dynamic_topics()[counts.index(max(counts))]
            self.give_up(topic, f"the broker did not take {max(counts):,} records")

    def has_unsent(self, topic: str = TICK_DATA.name) -> bool:
        """Return whether a topic has records that were not acknowledged."""
        return topic in self._unsent

    @property
    def is_full(self) -> bool:
        """Return whether the fixed topic has more such records than may wait; the caller must bring no more."""
        return len(self._unsent.get(TICK_DATA.name, ())) > MAX_UNSENT_RECORDS

    @property
    def is_empty(self) -> bool:
        """Return whether no topic has such records."""
        return not self._unsent

    def unsent_dynamic_topics(self) -> list[str]:
        """Return the dynamic topics that have such records."""
        return [topic for topic in self._unsent if topic != TICK_DATA.name]

    def give_up(self, topic: str, reason: str) -> None:
        """Publish nothing more to a dynamic topic, which cannot take it."""
        self.give_up_when_sent(topic, reason)
        self._unsent.pop(topic, None)
        self._failures.pop(topic, None)

    def give_up_when_sent(self, topic: str, reason: str) -> None:
        """Publish to a dynamic topic what waits, such as the end of its span, and then nothing more."""
        self.given_up.setdefault(topic, reason)

    @property
    def ended(self) -> dict[str, str]:
        """Return why dynamic topics were given up, of those for which nothing waits."""
        return {topic: reason for topic, reason in self.given_up.items() if topic not in self._unsent}

    def publish_fixed(self, publisher: Publisher) -> None:
        """Publish a chunk of what waits for the fixed topic; raise StreamError, then all not acknowledged stays first.

        A record that the broker refuses for good is set aside: it must not stop the others, and its consumer sees by
        the numbers that it is missing.
        """
        while self.has_unsent():
            try:
                self._publish(publisher, TICK_DATA.name, MAX_PUBLISHED_RECORDS)
                return
            except BadRecord as exc:
                if exc.index is None:
                    raise

    def publish_dynamic(self, publisher: Publisher, *, broker_answers: bool) -> None:
        """Publish a chunk of what waits for dynamic topics; raise StreamUnavailable, then the rest waits.

        broker_answers: the broker took records of the fixed topic just now, so a topic that fails is to blame.
        """
        room = MAX_PUBLISHED_RECORDS
        for topic in self.unsent_dynamic_topics():
            if room <= 0:
                return  # those that waited longest are first next time
            try:
                room -= self._publish(publisher, topic, room)
                self._failures.pop(topic, None)
            except StreamUnavailable as exc:
                if not broker_answers:
                    raise
                self._failures[topic] = failures = self._failures.get(topic, 0) + 1
                if failures < MAX_FAILURES:
                    raise
                self.give_up(topic, f"the broker takes nothing for this topic alone: {exc}")
            except (StreamError, ValueError) as exc:
                self.give_up(topic, str(exc))

    def take_acknowledged(self) -> list[tuple[str, list[LiveRecord]]]:
        """Return what was acknowledged since the last call, by topic."""
        acknowledged, self._acknowledged = self._acknowledged, []
        return acknowledged

    def _publish(self, publisher: Publisher, topic: str, limit: int) -> int:
        """Publish the first `limit` records of a topic and return how many these were."""
        unsent, later = self._unsent[topic][:limit], self._unsent[topic][limit:]
        waiting, done = unsent, list[LiveRecord]()
        try:
            publisher.publish(topic, [Message(record.market, encode(record)) for record in unsent])
            waiting, done = [], unsent
            return len(unsent)
        except PublishFailed as exc:
            failed = set(exc.failed)
            waiting = [unsent[index] for index in exc.failed]
            done = [record for index, record in enumerate(unsent) if index not in failed]
            raise
        except BadRecord as exc:
            if topic == TICK_DATA.name and exc.index is not None:
                self.refused.append((unsent[exc.index], exc.refusal))
                waiting = [*unsent[: exc.index], *unsent[exc.index + 1 :]]
            raise
        finally:
            del self._unsent[topic]
            if waiting := [*waiting, *later]:  # now the last in line of all topics, so that it cannot delay the others
                self._unsent[topic] = waiting
            if done:
                self._acknowledged.append((topic, done))
            if topic != TICK_DATA.name and any(type(record) is FeedOpened for record in done):
                self.opened.add(topic)
