"""The Coordinator: dispatches requests for history, wakes those that wait for their end, and has topics made."""

from __future__ import annotations

from datetime import timedelta

from celery import current_app
from django.conf import settings
from kombu.exceptions import OperationalError

from actor_runtime.errors import PlatformFault
from actor_runtime.loop.clock import Clock
from actor_runtime.loop.session import ActorSession
from actor_runtime.models import Actor
from actor_runtime.reset_policy import reason_of
from coordination.dispatch import Dispatcher, QueueAway
from coordination.models import Coordinator
from coordination.pair_list_refresh import PairListRefresh
from coordination.schedules import ensure_schedules
from coordination.topic_creation import TopicCreation
from datastore.backfill.fetch_queue import REDISPATCH_AFTER
from datastore.db.news import News, Subject
from datastore.streams.topics import CREATE_WITHIN

FETCH, PAIRS, CREATE_TOPIC = "ingestion.fetch", "ingestion.pairs", "ingestion.create_topic"


class CoordinatorWork:
    """Dispatch history, in every state; the states themselves are about dynamic topics."""

    model: type[Actor] = Coordinator
    role = "coordinator"
    several = False  # a second process waits for the first to end
    pause = 0.25  # seconds: how long a reader's request may wait to be dispatched

    def __init__(self, clock: Clock = Clock.system) -> None:
        self._session: ActorSession
        self._dispatch = Dispatcher(enqueue_fetch, settings.PRODUCER_POOL)
        self._pairs = PairListRefresh(enqueue_pair_list)
        self._topics = TopicCreation(enqueue_topic_creation, clock)
        self._news = News(Subject.WORK)

    def open(self, session: ActorSession) -> None:
        """Make the schedules that are missing."""
        self._session = session
        ensure_schedules()

    def turn(self) -> bool:
        """Do what is due; True if there may be more."""
        if not self._news.any() and self._topics.is_idle and self._dispatch.is_idle:
            self._pairs.refresh_if_due()
            return False
        self._topics.is_idle = False  # until we know better: this may fail halfway
        more = self._topics.turn(self._session)
        waits = self._topics.waits_for(self._session)
        try:
            more = self._dispatch.turn() or more
            self._pairs.refresh_if_due()
        except PlatformFault as exc:
            # With a topic in hand the chart would take this for the topic's failure, so it is only reported then.
            if self._session.actor.state == Coordinator.State.ACTIVE:
                raise
            waits = reason_of(exc)
        self._session.waiting(waits)
        return more

    def turn_in_error(self) -> None:
        """Do in Error everything but making topics."""
        self._topics.turn_in_error()
        self._dispatch.turn()

    def beat(self) -> None:
        """Do nothing: what is due every few seconds is due in Error too."""

    def close(self) -> None:
        """Do nothing: no connection is held between turns."""


def enqueue_fetch(request_id: int) -> None:
    """Have the worker fetch the request of this id. Raises QueueAway."""
    _send(FETCH, request_id)


def enqueue_pair_list() -> None:
    """Have the worker read the provider's list of pairs. Raises QueueAway."""
    _send(PAIRS)


def enqueue_topic_creation(topic_id: int) -> None:
    """Have the worker make the DynamicTopic of this id at the broker. Raises QueueAway."""
    _send(CREATE_TOPIC, topic_id, within=CREATE_WITHIN)


def _send(task: str, *arguments: int, within: timedelta = REDISPATCH_AFTER) -> None:
    # A task that is not taken up soon is enqueued again or given up, so an old message is worthless.
    try:
        current_app.send_task(task, list(arguments), expires=within.total_seconds(), retry=False)
    except OperationalError as exc:
        raise QueueAway(f"the worker's queue does not answer: {exc}") from exc
