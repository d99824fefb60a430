"""Why a topic was given up: which actor did not do its part in time, and what that actor's row says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from actor_runtime.ownership.description import active_rows, describe_all, is_alive
from datastore.models import DynamicTopic
from datastore.reference.provider_registry import live_role
from datastore.streams.topics import CREATE_WITHIN, NOTIFY_WITHIN

# Actors instruct each other through rows, so these models are named, not imported.
PRODUCER, CONSUMER = ("ingestion", "Producer"), ("consumers", "DynamicTopicConsumer")
TOPIC_PRODUCER_ROLE = "producer-topic"
ROUTE_REFUSED = "route"  # the live Producer cannot publish to this one topic; its others go on


@dataclass(frozen=True, slots=True)
class TopicFailure:
    """Why an attempt failed: its kind (a metric label), a sentence, and whether it counts as a try of its streams."""

    kind: str
    reason: str
    counts: bool = True


def not_created(topic: DynamicTopic) -> TopicFailure:
    """Return the failure of a topic that no Producer created in time."""
    rows = active_rows(PRODUCER, role=TOPIC_PRODUCER_ROLE)
    actors = describe_all(rows, f"there is no {TOPIC_PRODUCER_ROLE}-… row: does the worker run?")
    return TopicFailure("not_created", f"no Producer took {topic.name} up within {_seconds(CREATE_WITHIN)} s: {actors}")


def not_acknowledged(topic: DynamicTopic) -> TopicFailure:
    """Return the failure of a topic that Producer or consumer did not begin to use in time, naming which.

    It does not count as a try if all who are late are alive and wait themselves: a provider or a broker is away.
    """
    within = f"within {_seconds(NOTIFY_WITHIN)} s"
    silent: list[str] = []
    excused: list[bool] = []
    if topic.routed_at is None:
        role = live_role(topic.market.provider)
        rows = active_rows(PRODUCER, role=role)
        actors = describe_all(rows, f"there is no {role}-… row: does run_producer run?")
        silent.append(f"no Producer published to {topic.name} {within}: {actors}")
        excused.append(any(map(_is_waiting, rows)))
    if topic.subscribed_at is None:
        rows = active_rows(CONSUMER, name=topic.name)
        actors = describe_all(rows, "it has no consumer's row: does run_dynamic_consumer run?")
        silent.append(f"no consumer read {topic.name} {within}: {actors}")
        excused.append(any(map(_is_waiting, rows)))
    kind = "not_routed" if topic.routed_at is None else "not_subscribed"
    return TopicFailure(kind, "; ".join(silent), counts=not all(excused))


def refusal(topic: DynamicTopic) -> TopicFailure | None:
    """Return the failure of a topic that an actor has refused, None if none has."""
    refusals = (
        ("create", topic.create_error, f"{topic.creator or 'the Producer'} could not create {topic.name}"),
        (ROUTE_REFUSED, topic.route_error, f"{topic.producer or 'the Producer'} cannot publish to {topic.name}"),
        ("subscribe", topic.subscribe_error, f"{topic.consumer or 'the consumer'} cannot read {topic.name}"),
    )
    return next((TopicFailure(kind, f"{what}: {error}") for kind, error, what in refusals if error is not None), None)


def _is_waiting(actor: Any) -> bool:
    """Return whether a live actor waits for something, or in Error for its automatic reset."""
    return is_alive(actor) and (actor.waiting_for is not None or actor.reset_at is not None)


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():g}"
