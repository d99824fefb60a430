"""The Coordinator's chart."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django_fsm import transition

from actor_runtime.models import Actor, role_field, state_field


class Coordinator(Actor):
    """Makes dynamic topics on request and notifies the actors concerned."""

    class State(models.TextChoices):
        """The spec's states."""

        ACTIVE = "active", "Active"
        PROCESSING_CREATE_TOPIC = "processing_create_topic", "Processing Create Topic"
        NOTIFYING_ACTORS = "notifying_actors", "Notifying Actors"
        ERROR = "error", "Error"

    done_events = frozenset({"notify_success"})
    places = {
        "active": (0, 0),
        "processing_create_topic": (1, 0),
        "notifying_actors": (2, 0),
        "error": (1, 1),
    }

    role = role_field("coordinator")
    state = state_field(State, State.ACTIVE)

    class Meta(Actor.Meta):
        permissions = [("reset_coordinator", "Can reset coordinators in Error")]

    @transition(field="state", source=State.ACTIVE, target=State.PROCESSING_CREATE_TOPIC)
    def request_create_topic(self) -> None:
        """Begin with a stream that an application asked for."""

    @transition(field="state", source=State.PROCESSING_CREATE_TOPIC, target=State.NOTIFYING_ACTORS)
    def create_topic_success(self) -> None:
        """Turn to notifying the actors; the topic is there."""

    @transition(field="state", source=State.PROCESSING_CREATE_TOPIC, target=State.ERROR)
    def create_topic_failure(self, *, reason: str, by: str = "", at: datetime | None = None) -> None:
        """Give up making the topic."""

    @transition(field="state", source=State.NOTIFYING_ACTORS, target=State.ACTIVE)
    def notify_success(self) -> None:
        """End the request; producer and consumer use the topic."""

    @transition(field="state", source=State.NOTIFYING_ACTORS, target=State.ERROR)
    def notify_failure(self, *, reason: str, by: str = "", at: datetime | None = None) -> None:
        """Give up notifying the actors."""

    @transition(field="state", source=State.ERROR, target=State.ACTIVE)
    def reset(self, *, by: str) -> None:
        """Leave Error."""
