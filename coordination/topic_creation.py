"""Topics on request: the Coordinator's way through its chart, one topic at a time.

1. Active: take the oldest stream that is due and has no topic, make a topic's row (REQUEST_CREATE_TOPIC), and have the
   worker start a Producer that makes the topic.
2. Processing Create Topic: wait until the row says that the topic is there (CREATE_TOPIC_SUCCESS) or that it cannot be
   made, or until the time is over (CREATE_TOPIC_FAILURE).
3. Notifying Actors: wait until the live Producer publishes to it and a consumer reads it (NOTIFY_SUCCESS), until one of
   them cannot, or until the time is over (NOTIFY_FAILURE).

A transition and its effect on the rows are one transaction, and the topic in hand is found by its row. So a Coordinator
that is killed leaves nothing behind: if its successor is in Active, it resumes the topic at the step that the row
shows, with what is left of its time; if it is in Error, it gives the topic up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from django.db import transaction

from actor_runtime.charts import failure_event
from actor_runtime.errors import PlatformFault
from actor_runtime.loop.clock import Clock
from actor_runtime.loop.session import ActorSession
from actor_runtime.reset_policy import backoff
from coordination import topic_failures
from coordination.models import Coordinator
from coordination.topic_failures import TopicFailure
from coordination.topic_retirement import TopicRetirement
from datastore.models import DynamicTopic
from datastore.streams import topics
from datastore.streams.topics import CREATE_WITHIN, NOTIFY_WITHIN
from metering.table import TOPIC_FAILURES, TOPIC_SECONDS

log = structlog.get_logger(__name__)

State = Coordinator.State
MAX_ERROR_S = 30.0  # in Error, during which no other stream gets a topic
ROW_GONE = TopicFailure("gone", "the topic's row is gone")


@dataclass
class TopicCreation:
    """Makes topics, and fires the Coordinator's transitions."""

    enqueue: Callable[[int], None]  # has a Producer make the topic of this id; may raise PlatformFault
    clock: Clock = Clock.system
    is_idle: bool = False  # nothing becomes due by itself, as far as the last turn saw
    _topic_name: str = ""  # of the topic in hand

    def __post_init__(self) -> None:
        self.retirement = TopicRetirement(self.clock.steady)

    def turn(self, session: ActorSession) -> bool:
        """Do what is due; True if there is more to do at once."""
        found = topics.pending_work()
        self.is_idle = not found.alive and session.actor.state == State.ACTIVE
        changed = self.retirement.turn(found)

        topic = topics.find(found.in_progress) if found.in_progress is not None else None
        self._topic_name = topic.name if topic else ""
        if session.actor.state == State.ACTIVE:
            more = self._resume(session, topic) if topic else self._begin(session, found.due)
        elif topic is None:
            self._fail(session, None, ROW_GONE)
            more = True
        elif session.actor.state == State.PROCESSING_CREATE_TOPIC:
            more = self._check_creation(session, topic)
        elif failure := topic_failures.refusal(topic):
            self._fail(session, topic, failure)
            more = True
        elif topic.routed_at is not None and topic.subscribed_at is not None:
            with transaction.atomic():
                topics.go_live(topic)
                session.actor.notify_success()
                session.actor.waiting_for = None
                session.save()
            _observe("live", topic)
            more = True
        elif _overdue(topic):
            self._fail(session, topic, topic_failures.not_acknowledged(topic))
            more = True
        else:
            more = False
        return more or changed

    def turn_in_error(self) -> None:
        """Do in Error everything but making topics; a topic in hand is given up, since its attempt failed."""
        found = topics.pending_work()
        self.retirement.turn(found)
        if found.in_progress is not None:
            error = Coordinator.objects.filter(state=State.ERROR).values_list("last_error", flat=True).first()
            reason = f"the Coordinator is in Error: {error}"
            if topics.fail(found.in_progress, reason):
                TOPIC_FAILURES.labels("coordinator").inc()
                log.error("topic given up", topic=found.in_progress, reason=reason)

    def waits_for(self, session: ActorSession) -> str | None:
        """Return what the Coordinator waits for, None for nothing."""
        waits = {
            State.PROCESSING_CREATE_TOPIC: f"a Producer to create {self._topic_name}",
            State.NOTIFYING_ACTORS: f"a Producer to publish to {self._topic_name}, and a consumer to read it",
        }
        return waits.get(session.actor.state) or self.retirement.trouble

    # --- Active ---

    def _begin(self, session: ActorSession, due: int | None) -> bool:
        """Make a topic's row for the stream of this id, unless the stream was ended in the meantime."""
        if due is None:
            return False
        with transaction.atomic():
            topic = topics.create_for(due)
            if topic is None:
                return True
            session.actor.request_create_topic()
            session.save()
        self._topic_name = topic.name
        log.info("topic requested", topic=topic.name, stream=due)
        self._enqueue(session, topic)
        return False

    def _resume(self, session: ActorSession, topic: DynamicTopic) -> bool:
        """Continue with the topic of a Coordinator that died; its failure is in the log, the rows are consistent."""
        with transaction.atomic():
            session.actor.request_create_topic()
            if topic.state == DynamicTopic.State.NOTIFYING:
                session.actor.create_topic_success()
            session.save()
        log.warning("topic taken up again", topic=topic.name, state=topic.state)
        if session.actor.state == State.PROCESSING_CREATE_TOPIC and topic.created_at is None and not _overdue(topic):
            self._enqueue(session, topic)
        return False

    def _enqueue(self, session: ActorSession, topic: DynamicTopic) -> None:
        # After the row, so that the worker finds it.
        try:
            self.enqueue(topic.pk)
        except PlatformFault as exc:
            self._fail(session, topic, TopicFailure("queue", str(exc), counts=False))  # no Producer was asked

    # --- Processing Create Topic, Notifying Actors ---

    def _check_creation(self, session: ActorSession, topic: DynamicTopic) -> bool:
        if failure := topic_failures.refusal(topic):
            self._fail(session, topic, failure)
            return True
        if topic.created_at is not None:
            with transaction.atomic():
                topics.notify(topic)
                session.actor.create_topic_success()
                session.save()
            _observe("created", topic)
            return False
        if _overdue(topic):
            self._fail(session, topic, topic_failures.not_created(topic))
            return True
        return False

    def _fail(self, session: ActorSession, topic: DynamicTopic | None, failure: TopicFailure) -> None:
        """Go to Error, to be reset automatically, and give the topic up, in one transaction."""
        with transaction.atomic():
            if topic is not None:
                topics.fail(topic.pk, failure.reason, counts=failure.counts)
            actor = session.actor
            getattr(actor, str(failure_event(Coordinator, str(actor.state))))(reason=failure.reason)
            # A refused market stops no other stream, so it needs no delay.
            refused = failure.kind == topic_failures.ROUTE_REFUSED
            delay = 0.0 if refused else backoff(actor.error_count, MAX_ERROR_S)
            actor.reset_at = self.clock.now() + timedelta(seconds=delay)
            actor.waiting_for = None
            session.save()
        TOPIC_FAILURES.labels(failure.kind).inc()


def _overdue(topic: Any) -> bool:
    """Return whether the actors have used up their time for the step that the topic's state shows."""
    if topic.state == DynamicTopic.State.CREATING:
        return bool(topic.since_requested > CREATE_WITHIN)
    return bool(topic.since_notified > NOTIFY_WITHIN)


def _observe(step: str, topic: Any) -> None:
    TOPIC_SECONDS.labels(step).observe(max(topic.since_requested.total_seconds(), 0))
    log.info("topic reached", step=step, topic=topic.name)
