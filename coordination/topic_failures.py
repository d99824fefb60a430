"""Why a topic was given up, in words that name the actor that did not acknowledge, and what its row says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.db.models import QuerySet

from actor_runtime.charts import label
from actor_runtime.models import Actor, with_silence
from actor_runtime.ownership.claims import HEARTBEAT_TIMEOUT
from datastore.models import DynamicTopic
from datastore.streams.topics import CREATE_WITHIN, NOTIFY_WITHIN

# Instructed by rows, never by import.
PRODUCER, CONSUMER = ("ingestion", "Producer"), ("consumers", "DynamicTopicConsumer")
TOPIC_PRODUCER_PREFIX, LIVE_PRODUCER_PREFIX = "producer-topic-", "producer-live-"
ROUTE_REFUSED = "route"  # refused by the live Producer: a fault of this market or topic alone


@dataclass(frozen=True, slots=True)
class TopicFailure:
    """Why an attempt failed: its kind as metrics count it, a sentence, and whether it was a try of its streams."""

    kind: str
    reason: str
    counts: bool = True


def not_created(topic: DynamicTopic) -> TopicFailure:
    """Tell that no Producer answered for the topic in time."""
    rows = _of(PRODUCER).filter(name__startswith=TOPIC_PRODUCER_PREFIX)
    told = _told(rows, f"there is no {TOPIC_PRODUCER_PREFIX}… row: does the worker run?")
    return TopicFailure("not_created", f"no Producer took {topic.name} up within {_seconds(CREATE_WITHIN)} s: {told}")


def not_acknowledged(topic: DynamicTopic) -> TopicFailure:
    """Tell which of the actors that were told of the topic did not use it in time.

    Where each of them lives and waits itself, for a provider or a broker that is away, it was no try.
    """
    within = f"within {_seconds(NOTIFY_WITHIN)} s"
    silent: list[str] = []
    excused: list[bool] = []
    if topic.routed_at is None:
        rows = _of(PRODUCER).filter(name__startswith=LIVE_PRODUCER_PREFIX)
        told = _told(rows, f"there is no {LIVE_PRODUCER_PREFIX}… row: does run_producer run?")
        silent.append(f"no Producer published to {topic.name} {within}: {told}")
        excused.append(any(map(_waits, rows)))
    if topic.subscribed_at is None:
        rows = _of(CONSUMER).filter(name=topic.name)
        told = _told(rows, "it has no consumer's row: does run_dynamic_consumer run?")
        silent.append(f"no consumer read {topic.name} {within}: {told}")
        excused.append(any(map(_waits, rows)))
    kind = "not_routed" if topic.routed_at is None else "not_subscribed"
    return TopicFailure(kind, "; ".join(silent), counts=not all(excused))


def refusal(topic: DynamicTopic) -> TopicFailure | None:
    """Return what an actor has against the topic, None where none has anything."""
    refusals = (
        ("create", topic.create_error, f"{topic.creator or 'the Producer'} could not create {topic.name}"),
        (ROUTE_REFUSED, topic.route_error, f"{topic.producer or 'the Producer'} cannot publish to {topic.name}"),
        ("subscribe", topic.subscribe_error, f"{topic.consumer or 'the consumer'} cannot read {topic.name}"),
    )
    return next((TopicFailure(kind, f"{what}: {error}") for kind, error, what in refusals if error is not None), None)


def _of(kind: tuple[str, str]) -> QuerySet[Any]:
    return with_silence(apps.get_model(*kind)._default_manager.filter(retired_at=None)).order_by("name")


def _told(rows: QuerySet[Any], none: str) -> str:
    return ", ".join(map(_row, rows[:3])) or none


def _row(actor: Any) -> str:
    """Return what a row says of its actor: state, owner's sign of life, what it waits for, its last error."""
    parts = [f"{actor.name} is in {_state(actor)}"]
    if not actor.owner:
        parts.append("no process has it")
    elif not _lives(actor):
        parts.append("its process gives no sign of life")
    parts += [f"waits for: {actor.waiting_for}"] if actor.waiting_for else []
    parts += [f"last error: {actor.last_error}"] if actor.last_error else []
    return f"{parts[0]} ({'; '.join(parts[1:])})" if parts[1:] else parts[0]


def _lives(actor: Any) -> bool:
    return bool(actor.owner) and actor.silence is not None and actor.silence <= HEARTBEAT_TIMEOUT


def _waits(actor: Any) -> bool:
    """Say whether a living actor waits for something, or in Error for its own reset."""
    return _lives(actor) and (actor.waiting_for is not None or actor.reset_at is not None)


def _state(actor: Actor) -> str:
    return label(type(actor), str(actor.state))


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():g}"
