"""The consumer of a fixed topic: poll, decode, one transaction, commit, cache."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import structlog
from django.db import transaction

from actor_runtime.configured_broker import configured_broker
from actor_runtime.errors import CacheFault
from actor_runtime.loop.session import ActorSession
from actor_runtime.models import Actor
from consumers.batch_pace import MAX_BATCH_RECORDS, BatchPace
from consumers.dead_letters import quarantine
from consumers.group_progress import GroupProgress
from consumers.metrics import BatchMetrics
from consumers.models import FixedTopicConsumer
from consumers.record_batch import Batch
from consumers.topic_handlers import TOPIC_HANDLERS
from consumers.version_confirmer import VersionConfirmer
from datastore.db.news import News, Subject
from datastore.ingest import market_cache
from datastore.ingest.live_write import MarketChange
from streaming.broker import Record, Subscription
from streaming.errors import StreamError
from streaming.topics import CONSUMER_GROUP, FIXED_TOPICS

log = structlog.get_logger(__name__)

POLL_TIMEOUT_S = 0.25  # how long an idle turn waits
QUIET_POLL_TIMEOUT_S = 0.5  # and one of a topic that is known to be read to its end
PROGRESS_EVERY_S = 0.5  # a feed that has caught up counts as behind for this much longer


class FixedTopicWork:
    """Store what one fixed topic brings, in the order of its records."""

    model: type[Actor] = FixedTopicConsumer
    pause = 0.0  # a turn waits for records itself

    def __init__(self, topic: str) -> None:
        self.topic = topic
        # If the broker shares a topic out, every process works; otherwise one does, and the others wait.
        self.several = configured_broker().shares
        self.role = f"fixed-{topic.removesuffix('-data')}"
        self.handler = TOPIC_HANDLERS[topic]
        self._metrics = BatchMetrics(topic)
        self._session: ActorSession
        self._subscription: Subscription | None = None
        self._next_batch: Batch[Any] | None = None  # read ahead
        self._pace = BatchPace()
        self._progress = GroupProgress()
        self._news = News(Subject.FEEDS)
        self._is_drained = False  # all that was known of the topic was stored and noted, or nothing waits for that
        self._progress_at = 0.0  # when the group's progress was last asked for, steady clock
        self._cache_cold = True  # the whole cache is yet to be written since the work was opened
        self._confirmer = VersionConfirmer()

    def open(self, session: ActorSession) -> None:
        """Subscribe behind the last committed record, and write the whole cache, since anything may have changed."""
        self._session = session
        self.close()
        broker = configured_broker()
        admin = broker.admin()
        try:
            admin.create_topic(self.topic, FIXED_TOPICS[self.topic].partitions)
        finally:
            admin.close()
        self._subscription = broker.subscribe(CONSUMER_GROUP, [self.topic])
        self._progress, self._cache_cold, self._is_drained = GroupProgress(), True, False
        # A cache that is away never holds trades back: the next batch that reaches it writes it all.
        with suppress(CacheFault):
            self._update_cache([])

    def turn(self) -> bool:
        """Handle one batch; True if there may be more."""
        now = time.monotonic()
        self._confirmer.look()
        if self._news.any():
            self._is_drained = False
        if not self._is_drained and now - self._progress_at >= PROGRESS_EVERY_S and self._subscription is not None:
            # Up to when everything in the topic is stored, by any process of the group, if that concerns anything.
            self._progress_at = now
            # Asked first: what is published during the question must not count as stored.
            at, anything = self.handler.unsettled()
            if not anything:
                self._is_drained = True
            elif drained_at := self._progress.drained_until(self._subscription.progress(), at):
                self.handler.drained(drained_at)
                self._is_drained = True

        batch, self._next_batch = self._next_batch, None
        records = batch.records if batch else self._poll()
        if records:
            self._handle(records, batch)
        return bool(records)

    def beat(self) -> None:
        """Report the records that the topic lost before they could be read."""
        if self._subscription is None:
            return
        self._metrics.beat()
        for loss in self._subscription.take_losses():
            self._metrics.lost(loss.count)
            log.error("records lost", topic=loss.topic, after=loss.position, count=loss.count)

    def turn_in_error(self) -> None:
        """Leave the topic to other processes while this actor is in Error."""
        self.close()

    def close(self) -> None:
        """Close the subscription; what is not committed will be delivered again."""
        if self._subscription is not None:
            self._subscription.close()
        self._subscription = self._next_batch = None

    def _poll(self) -> Sequence[Record]:
        """Return what waits; a small batch is left to grow for a moment."""
        assert self._subscription is not None  # noqa: S101 - the runner opens before the first turn
        began = time.monotonic()
        timeout_s = QUIET_POLL_TIMEOUT_S if self._is_drained else POLL_TIMEOUT_S
        records = self._subscription.poll(timeout_s, self._pace.most)
        if 0 < len(records) < MAX_BATCH_RECORDS:
            self._session.stop.wait(self._pace.linger_s)
            records += self._subscription.poll(0, self._pace.most - len(records))
        if records:
            self._metrics.polled(time.monotonic() - began)
        return records

    def _handle(self, records: Sequence[Record], batch: Batch[Any] | None) -> None:
        self._is_drained = False
        began, actor = time.monotonic(), self._session.actor
        actor.message_received()
        with self._metrics.time_step("decode"):
            batch = batch or self.handler.read(records)
        actor.process_success()
        self._session.save()

        with self._metrics.time_step("database"):
            changes = self._write(batch)
        # After the rows: the other order would lose the batch if the process died here.
        assert self._subscription is not None  # noqa: S101
        self._subscription.commit(records)
        self._metrics.stored(len(records), changes, self.handler.received(batch.ready))
        self.handler.stored(changes)

        with self._metrics.time_step("cache"):
            self._update_cache(changes)
        actor.update_cache_success()
        self._session.save()
        self._pace.note(len(records), len(changes), time.monotonic() - began)

    def _write(self, batch: Batch[Any]) -> list[MarketChange]:
        """Write the batch, its dead letters and the actor's own state in one transaction."""

        def read_ahead() -> None:
            assert self._subscription is not None  # noqa: S101
            with suppress(StreamError):  # not a fault of the write in hand; the next poll meets it again
                self._next_batch = self.handler.read(self._subscription.poll(0, self._pace.most))

        with transaction.atomic():
            # A full batch means a backlog: read on while the database works.
            backlog = len(batch.records) >= MAX_BATCH_RECORDS
            stored = self.handler.store(batch.ready, read_ahead if backlog else None)
            dead = quarantine(batch, stored.refused)
            self._session.actor.write_success()
            self._session.save()
        log.debug("batch stored", records=len(batch.origins), dead=dead)
        return stored.changes

    def _update_cache(self, changes: list[MarketChange]) -> None:
        try:
            if self._cache_cold:
                market_cache.write_followed()
            else:
                market_cache.write_changed(changes)
        except market_cache.CacheUnavailable as exc:
            log.warning("cache away", reason=str(exc))
            raise CacheFault(str(exc)) from exc
        self._cache_cold = False
