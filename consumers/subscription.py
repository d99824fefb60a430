"""One subscription to a set of topics that changes."""

from __future__ import annotations

from collections.abc import Collection

from actor_runtime.configured_broker import configured_broker
from streaming.broker import Broker, Subscription
from streaming.errors import StreamLost, TopicMissing


class TopicSubscription:
    """Reads many topics by one subscription, so that a poll costs the same for one topic and for a hundred."""

    def __init__(self, group: str) -> None:
        self.group = group
        self.topics: frozenset[str] = frozenset()
        self._subscription: Subscription | None = None

    @property
    def subscription(self) -> Subscription:
        """Return the subscription to `topics`, which must not be empty."""
        assert self._subscription is not None  # noqa: S101 - there is one whenever there are topics
        return self._subscription

    def assign(self, topics: Collection[str]) -> dict[str, StreamLost]:
        """Read just these topics, from behind what is committed; return those that cannot be read, and why."""
        self.close()
        if not topics:
            return {}
        broker = configured_broker()
        try:
            self._open(broker, topics)
        except StreamLost:
            lost = _find_lost(broker, self.group, topics)
            if rest := set(topics) - lost.keys():
                self._open(broker, rest)
            return lost
        return {}

    def _open(self, broker: Broker, topics: Collection[str]) -> None:
        self._subscription = broker.assign(self.group, sorted(topics))
        self.topics = frozenset(topics)

    def close(self) -> None:
        """Close the subscription; what is not committed will be delivered again."""
        if self._subscription is not None:
            self._subscription.close()
        self._subscription, self.topics = None, frozenset()


def _find_lost(broker: Broker, group: str, topics: Collection[str]) -> dict[str, StreamLost]:
    """Find the topics because of which a subscription to all of them was refused."""
    admin = broker.admin()
    try:
        known = admin.topics()
    finally:
        admin.close()
    lost: dict[str, StreamLost] = {
        name: TopicMissing(f"there is no topic {name}") for name in topics if name not in known
    }
    if lost:
        return lost

    for name in topics:
        try:
            broker.assign(group, [name]).close()
        except StreamLost as exc:
            lost[name] = exc
    return lost
