"""What goes on in every state of the Coordinator: leases end, streams join existing topics, topics retire.

A topic retires in this order: its route ends, a consumer reads it to its end, it is deleted at the broker. A broker
that is away is asked again less and less often; that is reported, but fails nothing.
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
from datastore.reference.provider_clock import steady_now
from datastore.streams import lifecycle, topics
from datastore.streams.topics import PendingWork
from datastore.wording import counted
from metering.table import TOPIC_FAILURES
from streaming.errors import StreamError

log = structlog.get_logger(__name__)

MAX_RETRY_DELAY_S = 30.0


@dataclass
class TopicRetirement:
    """Ends what is over; never raises an error of the broker."""

    steady: Callable[[], float] = time.monotonic
    trouble: str | None = None  # why the broker does not delete topics
    _tries: int = 0
    _not_before: float = float("-inf")

    def turn(self, found: PendingWork) -> bool:
        """Do what was found to be due; True if something changed, so that there may be more to do at once."""
        if found.waiting:
            topics.attach()
        if found.detached:
            topics.recall()
            log.warning("streams without a live topic are requested again")
        if found.expired:
            log.info("streams ended", streams=lifecycle.expire(), reason=lifecycle.LEASE_OVER)
        changed = found.waiting or found.detached or found.expired
        for topic_id in found.broken:
            # A live topic that can no longer be used retires; its streams get another one.
            topic = topics.find(topic_id)
            failure = topic_failures.refusal(topic) if topic else None
            if failure is not None and topics.fail(topic_id, failure.reason):
                TOPIC_FAILURES.labels(failure.kind).inc()
                log.error("topic lost", topic=topic_id, reason=failure.reason)
                changed = True
        for topic_id in found.unused:
            if topics.retire(topic_id):
                log.info("topic retires", topic=topic_id, reason="no stream needs it")
                changed = True
        return self._delete(found.deletable) or changed

    def _delete(self, over: Sequence[int]) -> bool:
        """Delete topics at the broker unless it is away; True if all were deleted."""
        if not over:
            self._tries, self.trouble = 0, None
        if not over or self.steady() < self._not_before:
            return False
        try:
            admin = configured_broker().admin()
            try:
                for topic in DynamicTopic.objects.filter(pk__in=over).order_by("pk"):
                    was_there = admin.delete_topic(topic.name)
                    # After the broker: if the process dies in between, the topic is deleted again, which is fine.
                    topics.note_deleted(topic.pk)
                    # What was not read is gone: it is a gap now, and no longer on its way.
                    feed_progress.note_read(topic.name, steady_now())
                    parts = (
                        {"Producer": topic.route_ended_at, "consumer": topic.drained_at} if topic.notified_at else {}
                    )
                    unfinished = ", ".join(who for who, ended_at in parts.items() if ended_at is None)
                    log.info("topic deleted", topic=topic.name, was_there=was_there, not_waited_for=unfinished or None)
            finally:
                admin.close()
            return True
        except StreamError as exc:
            self._tries += 1
            self._not_before = self.steady() + backoff(self._tries, MAX_RETRY_DELAY_S)
            self.trouble = f"the broker to delete {counted(len(over), 'topic')}: {reason_of(exc)}"
            log.warning("topics not deleted", topics=len(over), reason=reason_of(exc))
            return False
