"""What goes on in every state of the Coordinator: leases end, streams join topics that are there, topics retire.

A topic retires in this order: its route ends, a consumer reads it to its end, it is deleted at the broker. A broker
that is away is asked again less and less often, and only told of.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from actor_runtime.configured_broker import configured_broker
from actor_runtime.reset_policy import backoff, reason_of
from coordination import topic_failures
from datastore.coverage import feed_progress
from datastore.models import DynamicTopic
from datastore.reference.provider_clock import database_now
from datastore.streams import lifecycle, topics
from datastore.streams.topics import PendingWork
from metering.table import TOPIC_FAILURES
from streaming.errors import StreamError

log = structlog.get_logger(__name__)

MAX_RETRY_DELAY_S = 30.0


@dataclass
class TopicRetirement:
    """Ends what is over; never raises what the broker raises."""

    steady: Callable[[], float] = time.monotonic
    trouble: str | None = None  # why the broker does not delete
    _tries: int = 0
    _not_before: float = float("-inf")

    def turn(self, found: PendingWork) -> bool:
        """Do what a look found to be due; True if something changed that is worth another look at once."""
        if found.waiting:
            topics.attach()
        if found.detached:
            topics.recall()
            log.warning("streams without a live topic are requested again")
        if found.expired:
            log.info("streams ended", streams=lifecycle.expire(), reason=lifecycle.LEASE_OVER)
        given_up = [_give_up(pk) for pk in found.broken]
        retired = [_retire(pk) for pk in found.unused]
        deleted = self._delete(found.deletable)
        return found.waiting or found.detached or found.expired or any([*given_up, *retired, deleted])

    def _delete(self, over: Sequence[int]) -> bool:
        """Delete topics at the broker until it does not answer; True if one is gone."""
        if not over:
            self._tries, self.trouble = 0, None
        if not over or self.steady() < self._not_before:
            return False
        try:
            return _delete_all(over)
        except StreamError as exc:
            self._tries += 1
            self._not_before = self.steady() + backoff(self._tries, MAX_RETRY_DELAY_S)
            self.trouble = f"the broker to delete {len(over)} topic(s): {reason_of(exc)}"
            log.warning("topics not deleted", topics=len(over), reason=reason_of(exc))
            return False


def _delete_all(over: Sequence[int]) -> bool:
    admin = configured_broker().admin()
    try:
        for topic in DynamicTopic.objects.filter(pk__in=over).order_by("pk"):
            was_there = admin.delete_topic(topic.name)
            # After the broker: if we die in between it is deleted again, which is fine.
            topics.note_deleted(topic.pk)
            # What nobody read is gone: it is a hole now, and no longer on its way.
            feed_progress.note_read(topic.name, database_now())
            log.info("topic deleted", topic=topic.name, was_there=was_there, not_waited_for=_unanswered(topic) or None)
    finally:
        admin.close()
    return True


def _unanswered(topic: DynamicTopic) -> str:
    """Return which actors had not ended their part when the topic was deleted."""
    if topic.notified_at is None:
        return ""
    asked = (("Producer", topic.route_ended_at), ("consumer", topic.drained_at))
    return ", ".join(who for who, ended in asked if ended is None)


def _retire(topic_id: int) -> bool:
    if retired := topics.retire(topic_id):
        log.info("topic retires", topic=topic_id, reason="no stream needs it")
    return retired


def _give_up(topic_id: int) -> bool:
    """Let a live topic that cannot be used any more retire; its streams get another one."""
    topic = topics.find(topic_id)
    failure = topic_failures.refusal(topic) if topic else None
    if failure is None or not topics.fail(topic_id, failure.reason):
        return False
    TOPIC_FAILURES.labels(failure.kind).inc()
    log.error("topic lost", topic=topic_id, reason=failure.reason)
    return True
