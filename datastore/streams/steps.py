"""The steps of a stream's life, from its rows: what was done when, and by whom. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from datastore.models import DynamicTopic, Stream

COORDINATOR = "coordinator"
# In order; when a stream joins an existing topic, the topic's steps are older than the stream's.
STEPS = (
    "requested",
    "topic_requested",
    "topic_created",
    "actors_told",
    "routed",
    "subscribed",
    "live",
    "ended",
    "topic_retiring",
    "route_ended",
    "drained",
    "topic_deleted",
)


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its name, when it was taken (the database's clock; None: not yet), and by whom."""

    name: str
    at: datetime | None = None
    by: str = ""


def steps_of(stream: Stream) -> list[Step]:
    """Return all steps of a stream and of its topic, in order."""
    failed = f"failed after {stream.attempts} tries"
    ended_by = failed if stream.state == Stream.State.FAILED else stream.ended_by
    taken = {
        "requested": _step("requested", stream.created_at, stream.asked_by),
        "live": _step("live", stream.live_at, COORDINATOR),
        "ended": _step("ended", stream.ended_at, ended_by),
    }
    if stream.topic is not None:
        taken |= _topic(stream.topic)
    return [taken.get(name, Step(name)) for name in STEPS]


def topic_steps(topic: DynamicTopic) -> list[Step]:
    """Return the steps of a topic, in order."""
    taken = {**_topic(topic), "live": _step("live", topic.live_at, COORDINATOR)}
    return [taken[name] for name in STEPS if name in taken]


def _topic(topic: DynamicTopic) -> dict[str, Step]:
    steps = (
        _step("topic_requested", topic.requested_at, COORDINATOR),
        _step("topic_created", topic.created_at, topic.creator),
        _step("actors_told", topic.notified_at, COORDINATOR),
        _step("routed", topic.routed_at, topic.producer),
        _step("subscribed", topic.subscribed_at, topic.consumer),
        _step("topic_retiring", topic.retiring_at, COORDINATOR),
        _step("route_ended", topic.route_ended_at, topic.producer),
        _step("drained", topic.drained_at, topic.consumer),
        _step("topic_deleted", topic.retired_at, COORDINATOR),
    )
    return {step.name: step for step in steps}


def _step(name: str, at: datetime | None, by: str) -> Step:
    return Step(name, at, by if at is not None else "")
