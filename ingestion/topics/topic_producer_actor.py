"""The Producer that makes one dynamic topic at the broker: a short job, whose row is kept for the next one.

It has nothing to do with the history pool, so a long backfill keeps no stream waiting. A failure concerns this one
topic: the reason goes into the topic's row, where the Coordinator reads it, and the actor is reset at once.
"""

from __future__ import annotations

from contextlib import closing
from threading import Event

import structlog
from django.db import transaction
from django.db.models import QuerySet

from actor_runtime.configured_broker import configured_broker
from actor_runtime.errors import RouteFault
from actor_runtime.loop.runner import run
from actor_runtime.loop.session import ActorSession
from actor_runtime.models import Actor
from actor_runtime.reset_policy import reason_of, reset_delay
from actor_runtime.steady_time import SteadyNow
from datastore.models import DynamicTopic
from ingestion.models import Producer
from streaming.errors import StreamError

log = structlog.get_logger(__name__)

NAME_USED_REASON = "the name was used before"
GIVEN_UP_REASON = "the topic was given up before it was made"


def create(topic_id: int, stop: Event) -> None:
    """Make the topic of a DynamicTopic row that waits for it, or write into the row why that failed."""
    if _waiting(topic_id).exists():
        run(TopicProducer(topic_id), stop)


def _waiting(topic_id: int) -> QuerySet[DynamicTopic]:
    """Return the row while it has no answer and the Coordinator still waits."""
    rows = DynamicTopic.objects.filter(pk=topic_id, state=DynamicTopic.State.CREATING)
    return rows.filter(created_at=None, create_error=None)


class TopicProducer:
    """Own one request: make its topic, note it, and end."""

    model: type[Actor] = Producer
    role = "producer-topic"
    several = True  # the next topic does not wait for one that is stuck
    pause = 0.0

    def __init__(self, topic_id: int) -> None:
        """Prepare the creation of a DynamicTopic; it begins once a row of the role is owned."""
        self._id = topic_id
        self._session: ActorSession
        self._created = False

    def open(self, session: ActorSession) -> None:
        """Take the row; the connection is made when it is needed, so that its failure is the topic's."""
        self._session = session

    def turn(self) -> bool:
        """Make the topic; False once nothing waits for it."""
        topic = _waiting(self._id).first()
        if topic is None:
            self._session.stop.set()
            return False
        self._session.actor.create_dynamic_topic()
        self._session.save()
        try:
            self._create(topic.name)
        except Exception as exc:
            if reset_delay(exc, 1) is None:  # an Error that lasts would keep the row from every later topic
                raise self._failed(reason_of(exc)) from exc
            raise
        return True

    def turn_in_error(self) -> None:
        """End in Error too, once nothing waits for the topic."""
        if not _waiting(self._id).exists():
            self._session.stop.set()

    def beat(self) -> None:
        """Nothing: making a topic takes less time than a heartbeat."""

    def close(self) -> None:
        """End the job, also if another process took the row over."""
        self._session.stop.set()

    def _create(self, name: str) -> None:
        try:
            with closing(configured_broker().admin()) as admin:
                # After a moment without the database we must not take our own topic for one that was there before.
                self._created = self._created or admin.create_topic(name)
                if self._created and not self._note_created(name):
                    admin.delete_topic(name)
                    raise RouteFault(GIVEN_UP_REASON)
        except StreamError as exc:
            raise self._failed(reason_of(exc)) from exc
        if not self._created:
            raise self._failed(NAME_USED_REASON)

    def _note_created(self, name: str) -> bool:
        """Write that the topic is there, with the transition; False if nothing waits for it any more."""
        with transaction.atomic():
            if not _waiting(self._id).update(created_at=SteadyNow(), creator=self._session.name):
                return False
            self._session.actor.create_topic_success()
            self._session.save()
        log.info("topic created", topic=name)
        return True

    def _failed(self, reason: str) -> RouteFault:
        _waiting(self._id).update(create_error=reason)
        return RouteFault(reason)
