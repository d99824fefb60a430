"""The Producer's chart."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from django.db import models
from django_fsm import RETURN_VALUE, transition

from actor_runtime.models import Actor, state_field


class Target(StrEnum):
    """The kind of topic that one cycle publishes to."""

    FIXED = "fixed"
    DYNAMIC = "dynamic"


class Producer(Actor):
    """Fetches from the provider and publishes to topics."""

    class State(models.TextChoices):
        """The spec's states."""

        IDLE = "idle", "Idle"
        FETCHING_DATA = "fetching_data", "Fetching Data"
        PUBLISHING_TO_FIXED_TOPICS = "publishing_to_fixed_topics", "Publishing to Fixed Topics"
        PUBLISHING_TO_DYNAMIC_TOPICS = "publishing_to_dynamic_topics", "Publishing to Dynamic Topics"
        CREATING_DYNAMIC_TOPIC = "creating_dynamic_topic", "Creating Dynamic Topic"
        ERROR = "error", "Error"

    hot_events = frozenset({"fetch_data", "data_ready", "publish_success"})
    done_events = frozenset({"publish_success", "create_topic_success"})
    places = {
        "idle": (0, 1),
        "creating_dynamic_topic": (1, 0),
        "fetching_data": (1, 1),
        "publishing_to_fixed_topics": (2, 1),
        "publishing_to_dynamic_topics": (2, 2),
        "error": (1, 3),
    }

    state = state_field(State, State.IDLE)
    refused_access = models.TextField(
        default="",
        editable=False,
        help_text="Fingerprint of the address and key for which it waits in Error; with others it is tried again.",
    )

    class Meta(Actor.Meta):
        permissions = [("reset_producer", "Can reset producers in Error")]

    @transition(field="state", source=State.IDLE, target=State.FETCHING_DATA)
    def fetch_data(self) -> None:
        """Begin to connect, or to take what waits."""

    @transition(field="state", source=State.IDLE, target=State.CREATING_DYNAMIC_TOPIC)
    def create_dynamic_topic(self) -> None:
        """Begin to make a topic that the Coordinator asked for."""

    @transition(
        field="state",
        source=State.FETCHING_DATA,
        target=RETURN_VALUE(State.PUBLISHING_TO_FIXED_TOPICS, State.PUBLISHING_TO_DYNAMIC_TOPICS),
    )
    def data_ready(self, target: Target) -> State:
        """Turn to publishing one batch to one kind of target."""
        fixed = Target(target) is Target.FIXED
        return self.State.PUBLISHING_TO_FIXED_TOPICS if fixed else self.State.PUBLISHING_TO_DYNAMIC_TOPICS

    @transition(field="state", source=State.FETCHING_DATA, target=State.ERROR)
    def fetch_failure(self, *, reason: str, by: str = "", at: datetime | None = None) -> None:
        """Give up fetching: connection refused, lost or never answered."""

    @transition(
        field="state",
        source=[State.PUBLISHING_TO_FIXED_TOPICS, State.PUBLISHING_TO_DYNAMIC_TOPICS],
        target=State.IDLE,
    )
    def publish_success(self) -> None:
        """End the cycle: the broker acknowledged the batch."""

    @transition(
        field="state",
        source=[State.PUBLISHING_TO_FIXED_TOPICS, State.PUBLISHING_TO_DYNAMIC_TOPICS],
        target=State.ERROR,
    )
    def publish_failure(self, *, reason: str, by: str = "", at: datetime | None = None) -> None:
        """Give up publishing: some of the batch was not acknowledged."""

    @transition(field="state", source=State.CREATING_DYNAMIC_TOPIC, target=State.IDLE)
    def create_topic_success(self) -> None:
        """End the creation: the topic is there."""

    @transition(field="state", source=State.CREATING_DYNAMIC_TOPIC, target=State.ERROR)
    def create_topic_failure(self, *, reason: str, by: str = "", at: datetime | None = None) -> None:
        """Give up making the topic."""

    @transition(field="state", source=State.ERROR, target=State.IDLE)
    def reset(self, *, by: str) -> None:
        """Leave Error."""
        self.refused_access = ""
