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
from consumers.dead_letters import quarantine
from consumers.group_progress import GroupProgress
from consumers.metrics import BatchMetrics
from consumers.models import FixedTopicConsumer
from consumers.record_batch import Batch
from consumers.topic_handlers import TOPIC_HANDLERS
from datastore.ingest import market_cache
from datastore.ingest.live_write import MarketChange
from datastore.reference.provider_clock import database_now
from streaming.broker import Record, Subscription
from streaming.errors import StreamError
from streaming.topics import FIXED

log = structlog.get_logger(__name__)

POLL = 0.25  # seconds that an idle turn waits
LINGER = 0.02  # seconds that a small batch may grow, so that a busy market costs per batch
BATCH = 5_000  # records at the most
GROUP = "candlekeep"
# Readers believe a version for two seconds after it was confirmed.
CONFIRM_EVERY = 0.5  # seconds
# How often it is looked up to when the topic is stored: so much later a feed no longer counts as behind.
LOOK_EVERY = 0.5  # seconds


class FixedTopicWork:
    """Store what one fixed topic brings, in the order of its records."""

    model: type[Actor] = FixedTopicConsumer
    pause = 0.0  # a turn waits for records itself

    def __init__(self, topic: str) -> None:
        self.topic = topic
        # Where the broker shares a topic out, every process works; elsewhere one does, and the others stand by.
        self.several = configured_broker().shares
        self.role = f"fixed-{topic.removesuffix('-data')}"
        self.content = TOPIC_HANDLERS[topic]
        self._meter = BatchMetrics(topic)
        self._session: ActorSession
        self._subscription: Subscription | None = None
        self._ahead: Batch[Any] | None = None
        self._ends = GroupProgress()
        self._looked = 0.0  # when it was looked last whether the topic is read to its end
        self._cold = True  # the cache has not been written anew since we began
        self._confirmed = 0.0  # when the cache was told last what the database holds

    def open(self, session: ActorSession) -> None:
        """Subscribe behind the last committed record, and write the cache anew whatever changed meanwhile."""
        self._session = session
        self.close()
        broker = configured_broker()
        admin = broker.admin()
        try:
            admin.create_topic(self.topic, FIXED[self.topic].partitions)
        finally:
            admin.close()
        self._subscription = broker.subscribe(GROUP, [self.topic])
        self._ends, self._cold = GroupProgress(), True
        # A cache that is away never holds trades back: the next batch that reaches it writes it anew.
        with suppress(CacheFault):
            self._update_cache([])

    def turn(self) -> bool:
        """Handle one batch; True if there may be more."""
        self._confirm()
        self._look()
        batch, self._ahead = self._ahead, None
        records = batch.records if batch else self._poll()
        if records:
            self._handle(records, batch)
        return bool(records)

    def _poll(self) -> Sequence[Record]:
        """Return what waits, a small batch after a moment's growth."""
        assert self._subscription is not None  # noqa: S101 - the runner opens before the first turn
        began = time.monotonic()
        records = self._subscription.poll(POLL, BATCH)
        if 0 < len(records) < BATCH:
            self._session.stop.wait(LINGER)
            records += self._subscription.poll(0, BATCH - len(records))
        if records:
            self._meter.polled(time.monotonic() - began)
        return records

    def beat(self) -> None:
        """Name what the topic lost before we could read it."""
        if self._subscription is None:
            return
        self._meter.beat()
        for loss in self._subscription.take_losses():
            self._meter.lost(loss.count)
            log.error("records lost", topic=loss.topic, after=loss.position, count=loss.count)

    def meanwhile(self) -> None:
        """Leave the topic to others while we are in Error."""
        self.close()

    def close(self) -> None:
        """Give the subscription back; what is not committed comes again."""
        if self._subscription is not None:
            self._subscription.close()
        self._subscription = self._ahead = None

    def _confirm(self) -> None:
        """Keep the cache's versions believed, of idle markets too; one that is away is written anew in time."""
        now = time.monotonic()
        if now - self._confirmed >= CONFIRM_EVERY:
            self._confirmed = now
            with suppress(market_cache.CacheUnavailable):
                market_cache.confirm()

    def _look(self) -> None:
        """Note up to when all that lay in the topic is stored, by us and by those who share it with us."""
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY or self._subscription is None:
            return
        self._looked = now
        at = database_now()  # first: what is published while we ask is not claimed to be stored
        if known := self._ends.look(self._subscription.progress(), at):
            self.content.drained(known)

    def _handle(self, records: Sequence[Record], batch: Batch[Any] | None) -> None:
        actor = self._session.actor
        actor.message_received()
        with self._meter.part("decode"):
            batch = batch or self.content.read(records)
        actor.process_success()
        self._session.save()
        with self._meter.part("database"):
            changes = self._write(batch)
        self._commit(records)
        self._meter.stored(len(records), changes, self.content.received(batch.ready))
        with self._meter.part("cache"):
            self._update_cache(changes)
        actor.update_cache_success()
        self._session.save()

    def _write(self, batch: Batch[Any]) -> list[MarketChange]:
        """Write the batch, its dead letters and our own state in one transaction."""
        with transaction.atomic():
            ahead = self._read_ahead if len(batch.records) >= BATCH else None
            stored = self.content.store(batch.ready, ahead)
            dead = quarantine(batch, stored.refused)
            self._session.actor.write_success()
            self._session.save()
        log.debug("batch stored", records=len(batch.origins), dead=dead)
        return stored.changes

    def _read_ahead(self) -> None:
        """Read the next batch of a backlog while the database works on this one."""
        assert self._subscription is not None  # noqa: S101
        with suppress(StreamError):  # no fault of the write in hand; the next poll meets it again
            self._ahead = self.content.read(self._subscription.poll(0, BATCH))

    def _commit(self, records: Sequence[Record]) -> None:
        # After the rows: the other order would lose the batch if we died here.
        assert self._subscription is not None  # noqa: S101
        self._subscription.commit(records)

    def _update_cache(self, changes: list[MarketChange]) -> None:
        try:
            if self._cold:
                market_cache.write_followed()
            else:
                market_cache.write_changed(changes)
        except market_cache.CacheUnavailable as exc:
            log.warning("cache away", reason=str(exc))
            raise CacheFault(str(exc)) from exc
        self._cold = False
