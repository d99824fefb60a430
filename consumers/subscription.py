"""One subscription to a set of topics that changes."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from actor_runtime.configured_broker import configured_broker
from streaming.broker import Broker, Subscription
from streaming.errors import StreamLost, TopicMissing


class TopicSubscription:
    """Reads some topics, all by one subscription: a poll costs the same for one topic and for a hundred."""

    def __init__(self, group: str) -> None:
        self.group = group
        self.topics: frozenset[str] = frozenset()
        self._subscription: Subscription | None = None

    @property
    def subscription(self) -> Subscription:
        """Return the subscription to `topics`, which are not empty."""
        assert self._subscription is not None  # noqa: S101 - there is one wherever there are topics
        return self._subscription

    def assign(self, topics: Collection[str]) -> dict[str, StreamLost]:
        """Read these from behind what is committed, whatever was read before; return those that can not be, and why."""
        self.close()
        if not topics:
            return {}
        broker = configured_broker()
        try:
            self._open(broker, topics)
        except StreamLost:
            lost = _lost(broker, self.group, topics)
            if rest := set(topics) - lost.keys():
                self._open(broker, rest)
            return lost
        return {}

    def _open(self, broker: Broker, topics: Collection[str]) -> None:
        self._subscription = broker.assign(self.group, sorted(topics))
        self.topics = frozenset(topics)

    def close(self) -> None:
        """Give the subscription back; what is not committed comes again."""
        if self._subscription is not None:
            self._subscription.close()
        self._subscription, self.topics = None, frozenset()


def _lost(broker: Broker, group: str, topics: Collection[str]) -> dict[str, StreamLost]:
    """Find which topics a subscription to all of them was refused for."""
    admin = broker.admin()
    try:
        known = admin.topics()
    finally:
        admin.close()
    missing: dict[str, StreamLost] = {
        name: TopicMissing(f"there is no topic {name}") for name in topics if name not in known
    }
    return missing or dict(_refusals(broker, group, topics))


def _refusals(broker: Broker, group: str, topics: Collection[str]) -> Iterable[tuple[str, StreamLost]]:
    for name in topics:
        try:
            broker.assign(group, [name]).close()
        except StreamLost as exc:
            yield name, exc
