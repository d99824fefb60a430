"""Topics on request: the walk of the Coordinator's chart, one topic at a time.

1. Active: the oldest stream that is due and has no topic. A topic's row is made, REQUEST_CREATE_TOPIC, and the worker
   is told to have a Producer make it.
2. Processing Create Topic: until the row says that it is there (CREATE_TOPIC_SUCCESS), that it cannot be made, or
   nothing in time (CREATE_TOPIC_FAILURE).
3. Notifying Actors: until the live Producer publishes to it and a consumer reads it (NOTIFY_SUCCESS), one of them
   cannot, or did not in time (NOTIFY_FAILURE).

A transition and what it means for the rows are one transaction, and the topic in hand is found from the rows. So a
Coordinator that is killed leaves nothing behind: found in Active, its topic is taken up where its row stands, with what
is left of its time; found in Error, it is given up.
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
from actor_runtime.loop.actor_loop import Clock
from actor_runtime.loop.session import ActorSession
from actor_runtime.reset_policy import backoff
from coordination import topic_failures
from coordination.models import Coordinator
from coordination.topic_failures import TopicFailure
from coordination.topic_retirement import TopicRetirement
from datastore.models import DynamicTopic
from datastore.streams import topics
from datastore.streams.topics import CREATE_WITHIN, NOTIFY_WITHIN, PendingWork
from metering.table import TOPIC_FAILURES, TOPIC_SECONDS

log = structlog.get_logger(__name__)

State = Coordinator.State
MAX_ERROR_S = 30.0  # seconds in Error, where the queue is held: those who ask meanwhile wait for nothing else
ROW_GONE = TopicFailure("gone", "the topic's row is gone")


@dataclass
class TopicCreation:
    """Walks the chart; tell() may raise PlatformFault."""

    enqueue: Callable[[int], None]  # has a Producer make the topic of this row
    clock: Clock = Clock.system
    _topic_name: str = ""  # of the topic in hand, to be told

    def __post_init__(self) -> None:
        self.retirement = TopicRetirement(self.clock.steady)

    def turn(self, session: ActorSession) -> bool:
        """Do what is due; True if there is more to do at once."""
        found = topics.pending_work()
        changed = self.retirement.turn(found)
        return self._walk(session, found) or changed

    def turn_in_error(self) -> None:
        """Go on in Error with all but the queue; an attempt in hand was lost with what led here."""
        found = topics.pending_work()
        self.retirement.turn(found)
        if found.in_progress is not None:
            error = Coordinator.objects.filter(state=State.ERROR).values_list("last_error", flat=True).first()
            reason = f"the Coordinator is in Error: {error}"
            if topics.fail(found.in_progress, reason):
                TOPIC_FAILURES.labels("coordinator").inc()
                log.error("topic given up", topic=found.in_progress, reason=reason)

    def waits_for(self, session: ActorSession) -> str | None:
        """Return what the Coordinator waits for, None: nothing."""
        waits = {
            State.PROCESSING_CREATE_TOPIC: f"a Producer to create {self._topic_name}",
            State.NOTIFYING_ACTORS: f"a Producer to publish to {self._topic_name}, and a consumer to read it",
        }
        return waits.get(session.actor.state) or self.retirement.trouble

    def _walk(self, session: ActorSession, found: PendingWork) -> bool:
        topic = topics.find(found.in_progress) if found.in_progress is not None else None
        self._topic_name = topic.name if topic else ""
        if session.actor.state == State.ACTIVE:
            return self._take_up(session, topic) if topic else self._begin(session, found.due)
        if topic is None:
            self._fail(session, None, ROW_GONE)
            return True
        if session.actor.state == State.PROCESSING_CREATE_TOPIC:
            return self._see_creation(session, topic)
        return self._see_acknowledgements(session, topic)

    # --- Active ---

    def _begin(self, session: ActorSession, due: int | None) -> bool:
        """Begin with a stream; one whose asker ended it meanwhile is left alone."""
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
        self._have_made(session, topic)
        return False

    def _take_up(self, session: ActorSession, topic: DynamicTopic) -> bool:
        """Go on with the topic of a Coordinator that is no more; its failure is in the log, the rows are whole."""
        with transaction.atomic():
            session.actor.request_create_topic()
            if topic.state == DynamicTopic.State.NOTIFYING:
                session.actor.create_topic_success()
            session.save()
        log.warning("topic taken up again", topic=topic.name, state=topic.state)
        if session.actor.state == State.PROCESSING_CREATE_TOPIC and topic.created_at is None and not _overdue(topic):
            self._have_made(session, topic)
        return False

    def _have_made(self, session: ActorSession, topic: DynamicTopic) -> None:
        # After the row: a worker that hears of it must find it.
        try:
            self.enqueue(topic.pk)
        except PlatformFault as exc:
            self._fail(session, topic, TopicFailure("queue", str(exc), counts=False))  # nobody was asked

    # --- Processing Create Topic, Notifying Actors ---

    def _see_creation(self, session: ActorSession, topic: DynamicTopic) -> bool:
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

    def _see_acknowledgements(self, session: ActorSession, topic: DynamicTopic) -> bool:
        if failure := topic_failures.refusal(topic):
            self._fail(session, topic, failure)
            return True
        if topic.routed_at is not None and topic.subscribed_at is not None:
            with transaction.atomic():
                topics.go_live(topic)
                session.actor.notify_success()
                session.actor.waiting_for = None
                session.save()
            _observe("live", topic)
            return True
        if _overdue(topic):
            self._fail(session, topic, topic_failures.not_acknowledged(topic))
            return True
        return False

    def _fail(self, session: ActorSession, topic: DynamicTopic | None, failure: TopicFailure) -> None:
        """Go to Error, to be reset in a while, and give the topic up, in one transaction."""
        with transaction.atomic():
            if topic is not None:
                topics.fail(topic.pk, failure.reason, counts=failure.counts)
            actor = session.actor
            getattr(actor, str(failure_event(Coordinator, str(actor.state))))(reason=failure.reason)
            actor.reset_at = self.clock.now() + timedelta(seconds=_hold(failure, actor.error_count))
            actor.waiting_for = None
            session.save()
        TOPIC_FAILURES.labels(failure.kind).inc()


def _hold(failure: TopicFailure, errors: int) -> float:
    """Return the seconds until the reset: none for a refused market, which stops nobody else."""
    return 0.0 if failure.kind == topic_failures.ROUTE_REFUSED else backoff(errors, MAX_ERROR_S)


def _overdue(topic: Any) -> bool:
    """Say whether the actors have had their time for what the topic's state asks of them."""
    if topic.state == DynamicTopic.State.CREATING:
        return bool(topic.asked_for > CREATE_WITHIN)
    return bool(topic.told_for > NOTIFY_WITHIN)


def _observe(step: str, topic: Any) -> None:
    TOPIC_SECONDS.labels(step).observe(max(topic.asked_for.total_seconds(), 0))
    log.info("topic reached", step=step, topic=topic.name)
