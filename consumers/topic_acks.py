"""What the consumer reads in the rows of dynamic topics, and what it acknowledges there to the Coordinator."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from django.db.models import Q
from django.db.models.functions import Coalesce

from actor_runtime.steady_time import SteadyNow
from datastore.models import DynamicTopic

State = DynamicTopic.State


class OpenTopic(NamedTuple):
    """A topic to read, as its row was when it was last looked at."""

    pk: int
    name: str
    market_id: int
    state: str
    route_ended_at: datetime | None
    subscribed_at: datetime | None
    consumer: str

    @property
    def retiring(self) -> bool:
        """Return whether the topic is being retired."""
        return self.state == State.RETIRING

    def lacks_ack_of(self, me: str) -> bool:
        """Return whether the row does not yet say that this process reads the topic."""
        return not self.retiring and (self.consumer != me or self.subscribed_at is None)


def open_topics() -> dict[str, OpenTopic]:
    """Return the topics to read, by name: those that are routed, and retiring ones that are not yet drained."""
    rows = DynamicTopic.objects.filter(Q(state__in=DynamicTopic.ROUTED) | Q(state=State.RETIRING, drained_at=None))
    found = (OpenTopic(*row) for row in rows.order_by().values_list(*OpenTopic._fields))
    return {topic.name: topic for topic in found}


def note_subscribed(topics: Collection[OpenTopic], me: str) -> None:
    """Acknowledge that this process reads these topics; a time of the first subscription stays."""
    rows = DynamicTopic.objects.filter(pk__in=[topic.pk for topic in topics], state__in=DynamicTopic.ROUTED)
    rows.update(consumer=me, subscribed_at=Coalesce("subscribed_at", SteadyNow()), subscribe_error=None)


def note_refused(topic: OpenTopic, reason: str) -> None:
    """Note why a topic cannot be read."""
    DynamicTopic.objects.filter(pk=topic.pk, state__in=DynamicTopic.ROUTED).update(subscribe_error=reason)


def note_drained(topics: Collection[OpenTopic]) -> None:
    """Acknowledge that all records that these topics will ever have are stored."""
    rows = DynamicTopic.objects.filter(pk__in=[topic.pk for topic in topics], drained_at=None)
    rows.update(drained_at=SteadyNow())
