"""The charts of the two consumers. A "message" is one polled batch, so states cost per batch.

Each chart declares its own transitions, the common ones too: django-fsm binds a method to one class's field.
"""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django_fsm import transition

from actor_runtime.models import Actor, role_field, state_field

_BATCH_EVENTS = frozenset({"message_received", "process_success", "write_success", "update_cache_success"})


class FixedTopicConsumer(Actor):
    """Stores what a fixed topic brings: trades as candles, and the provider's own candles."""

    class State(models.TextChoices):
        """The spec's states."""

        IDLE = "idle", "Idle"
        PROCESSING_MESSAGE = "processing_message", "Processing Message"
        WRITING_TO_DB = "writing_to_db", "Writing to DB"
        UPDATING_REDIS = "updating_redis", "Updating Redis"
        ERROR = "error", "Error"

    hot_events = _BATCH_EVENTS
    done_events = frozenset({"update_cache_success"})
    places = {
        "idle": (0, 0),
        "processing_message": (1, 0),
        "writing_to_db": (2, 0),
        "updating_redis": (3, 0),
        "error": (1.5, 1),
    }

    state = state_field(State, State.IDLE)

    class Meta(Actor.Meta):
        permissions = [("reset_fixedtopicconsumer", "Can reset consumers of fixed topics in Error")]

    @transition(field="state", source=State.IDLE, target=State.PROCESSING_MESSAGE)
    def message_received(self) -> None:
        """Begin with a batch."""

    @transition(field="state", source=State.PROCESSING_MESSAGE, target=State.WRITING_TO_DB)
    def process_success(self) -> None:
        """Turn to the database; the batch is decoded."""

    @transition(field="state", source=State.PROCESSING_MESSAGE, target=State.ERROR)
    def process_failure(self, *, reason: str, by: str = "", at: datetime | None = None) -> None:
        """Give up on the batch, for a reason that would fail any other batch too."""

    @transition(field="state", source=State.WRITING_TO_DB, target=State.UPDATING_REDIS)
    def write_success(self) -> None:
        """Turn to the cache; the rows are stored."""

    @transition(field="state", source=State.WRITING_TO_DB, target=State.ERROR)
    def write_failure(self, *, reason: str, by: str = "", at: datetime | None = None) -> None:
        """Give up writing; nothing of the batch is stored."""

    @transition(field="state", source=State.UPDATING_REDIS, target=State.IDLE)
    def update_cache_success(self) -> None:
        """End the batch."""

    @transition(field="state", source=State.UPDATING_REDIS, target=State.ERROR)
    def update_cache_failure(self, *, reason: str, by: str = "", at: datetime | None = None) -> None:
        """Give up on the cache; the rows are stored all the same."""

    @transition(field="state", source=State.ERROR, target=State.IDLE)
    def reset(self, *, by: str) -> None:
        """Leave Error."""


class DynamicTopicConsumer(Actor):
    """Stores the trades of one application's topic as candles."""

    class State(models.TextChoices):
        """The spec's states."""

        IDLE = "idle", "Idle"
        SUBSCRIBING = "subscribing", "Subscribing"
        CONSUMING = "consuming", "Consuming"
        PROCESSING_MESSAGE = "processing_message", "Processing Message"
        WRITING_TO_DB = "writing_to_db", "Writing to DB"
        UPDATING_REDIS = "updating_redis", "Updating Redis"
        ERROR = "error", "Error"

    hot_events = _BATCH_EVENTS
    done_events = frozenset({"update_cache_success"})
    places = {
        "idle": (0, 0),
        "subscribing": (1, 0),
        "consuming": (2, 0),
        "processing_message": (3, 0),
        "writing_to_db": (3, 1),
        "updating_redis": (2, 1),
        "error": (1, 2),
    }

    interchangeable = False  # each has the name of its topic

    role = role_field("dynamic")
    state = state_field(State, State.IDLE)

    class Meta(Actor.Meta):
        permissions = [("reset_dynamictopicconsumer", "Can reset consumers of dynamic topics in Error")]
        # No topic name is used twice, so the rows of ended topics stay; this index spares every look from reading them.
        indexes = [
            models.Index(fields=["name"], name="dynamic_consumer_at_work", condition=models.Q(retired_at__isnull=True))
        ]

    @transition(field="state", source=State.IDLE, target=State.SUBSCRIBING)
    def subscribe_to_topic(self) -> None:
        """Begin to subscribe."""

    @transition(field="state", source=State.SUBSCRIBING, target=State.CONSUMING)
    def subscribe_success(self) -> None:
        """Begin to consume."""

    @transition(field="state", source=State.SUBSCRIBING, target=State.ERROR)
    def subscribe_failure(self, *, reason: str, by: str = "", at: datetime | None = None) -> None:
        """Give up subscribing."""

    @transition(field="state", source=State.CONSUMING, target=State.PROCESSING_MESSAGE)
    def message_received(self) -> None:
        """Begin with a batch."""

    @transition(field="state", source=State.PROCESSING_MESSAGE, target=State.WRITING_TO_DB)
    def process_success(self) -> None:
        """Turn to the database; the batch is decoded."""

    @transition(field="state", source=State.PROCESSING_MESSAGE, target=State.ERROR)
    def process_failure(self, *, reason: str, by: str = "", at: datetime | None = None) -> None:
        """Give up on the batch, for a reason that would fail any other batch too."""

    @transition(field="state", source=State.WRITING_TO_DB, target=State.UPDATING_REDIS)
    def write_success(self) -> None:
        """Turn to the cache; the rows are stored."""

    @transition(field="state", source=State.WRITING_TO_DB, target=State.ERROR)
    def write_failure(self, *, reason: str, by: str = "", at: datetime | None = None) -> None:
        """Give up writing; nothing of the batch is stored."""

    @transition(field="state", source=State.UPDATING_REDIS, target=State.CONSUMING)
    def update_cache_success(self) -> None:
        """End the batch and go on consuming."""

    @transition(field="state", source=State.UPDATING_REDIS, target=State.ERROR)
    def update_cache_failure(self, *, reason: str, by: str = "", at: datetime | None = None) -> None:
        """Give up on the cache; the rows are stored all the same."""

    @transition(field="state", source=State.ERROR, target=State.IDLE)
    def reset(self, *, by: str) -> None:
        """Leave Error."""
