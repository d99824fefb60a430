"""The consumers of dynamic topics: one actor per topic, many in a process, which read, store and save together.

What a turn costs is per poll, not per topic: one subscription, one transaction, one statement for all states.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress

import structlog
from django.db import transaction

from actor_runtime.errors import CacheFault
from actor_runtime.loop.actor_group import ActorGroup, OwnedActor
from actor_runtime.models import Actor
from actor_runtime.reset_policy import reason_of
from consumers import topic_acks
from consumers.batch_store import Part, parts_of, store_batches
from consumers.drain_tracker import DrainTracker
from consumers.fixed_consumer_actor import BATCH, CONFIRM_EVERY, GROUP, POLL
from consumers.metrics import BatchMetrics
from consumers.models import DynamicTopicConsumer
from consumers.subscription import Reading
from consumers.topic_acks import Topic
from datastore.coverage.feed_progress import note_all_read
from datastore.ingest import market_cache
from datastore.ingest.live_write import MarketChange
from datastore.reference.provider_clock import database_now
from streaming.broker import Record
from streaming.errors import StreamLost
from streaming.topics import DYNAMIC

log = structlog.get_logger(__name__)

LINGER = 0.05  # seconds that a small batch may grow, so that many topics that trade cost per batch
READ_TO_THE_END = "its topic is read to its end"
State = DynamicTopicConsumer.State


class DynamicTopicsWork:
    """Store what the topics bring that this process has actors for."""

    model: type[Actor] = DynamicTopicConsumer
    role = "dynamic-consumer"
    pause = 0.1  # while there is nothing to read; else a turn waits for records itself

    def __init__(self) -> None:
        self._topics: dict[str, Topic] = {}  # that are to be read, by whomever
        self._reading = Reading(GROUP)
        self._claims: frozenset[str] = frozenset()  # of those for whom we read
        self._lost = False  # the last poll could not be had for the sake of one of its topics
        self._drains = DrainTracker()
        self._meter = BatchMetrics(DYNAMIC)
        self._cold: set[int] = set()  # markets that are to be written to the cache whatever changed
        self._confirmed = 0.0

    def wanted(self) -> Collection[str]:
        """Return the topics that are to be read."""
        self._topics = topic_acks.open_topics()
        return self._topics.keys()

    def turn(self, crew: ActorGroup) -> bool:
        """Handle one poll; True if there may be more."""
        self._confirm()
        self._retire_drained(crew)
        self._subscribe(crew)
        if not self._reading.topics:
            return False
        if records := self._poll(crew):
            self._handle(crew, records)
        return True

    def beat(self, crew: ActorGroup) -> None:
        """Note which topics are read to their end, and what they lost."""
        self._meter.beat()
        if not self._reading.topics:
            return
        for loss in self._reading.subscription.take_losses():
            self._meter.lost(loss.count)
            log.error("records lost", topic=loss.topic, after=loss.position, count=loss.count)
        at = database_now()  # first: what is published while we ask is not claimed to be stored
        note_all_read(self._drains.look(self._lags(), at))

    def close(self) -> None:
        """Give the subscription back; what is not committed comes again."""
        self._claims = frozenset()
        self._reading.close()

    def _confirm(self) -> None:
        """Keep the cache's versions believed, of idle markets too."""
        now = time.monotonic()
        if now - self._confirmed >= CONFIRM_EVERY:
            self._confirmed = now
            with suppress(market_cache.CacheUnavailable):
                market_cache.confirm()

    # Which topics are read.

    def _subscribe(self, crew: ActorGroup) -> None:
        """Read the topics of just those who are in Consuming, once those in Idle have begun to subscribe."""
        due = [member for member in crew if member.name in self._topics and crew.is_due(member)]
        begun = [member for member in due if member.state == State.IDLE]
        for member in begun:
            member.actor.subscribe_to_topic()
        fenced = crew.save(begun)
        due = [member for member in due if member.name not in fenced]
        # By claim: what was taken from us and came back has been read by somebody else meanwhile.
        if _claims_of(due) != self._claims:
            self._turn_to(crew, due)

    def _turn_to(self, crew: ActorGroup, members: Sequence[OwnedActor]) -> None:
        before, self._claims = self._claims, frozenset()
        lost = self._reading.turn_to([member.name for member in members])
        self._refuse(crew, lost)
        found = crew.named(self._reading.topics)
        with transaction.atomic():
            for member in found:
                if member.state == State.SUBSCRIBING:
                    member.actor.subscribe_success()
            self._acknowledge(crew, found)
        crew.resumed(found)
        self._cold |= {self._topics[member.name].market_id for member in found if member.claim not in before}
        self._claims = _claims_of(found)
        # A cache that is away never holds trades back: the next batch that reaches it writes it anew.
        with suppress(CacheFault):
            self._update_cache([])

    def _acknowledge(self, crew: ActorGroup, members: Sequence[OwnedActor]) -> None:
        """Save those who have just begun, and tell the Coordinator of those whose row does not say yet who reads."""
        untold = {name for name, topic in self._topics.items() if topic.lacks_word_of(crew.me)}
        # Saved too where the state is old: the epoch is checked with it, so nobody speaks for a topic that he lost.
        crew.save([member for member in members if member.name in untold or member.actor.journal.pending])
        ours = crew.named(member.name for member in members)
        if told := [self._topics[member.name] for member in ours if member.name in untold]:
            topic_acks.note_subscribed(told, crew.me)

    def _refuse(self, crew: ActorGroup, lost: Mapping[str, StreamLost]) -> None:
        """Tell of each topic that can not be read why; the end of one that is gone is all that there will be of it."""
        for member in crew.named(lost):
            topic, exc = self._topics[member.name], lost[member.name]
            crew.fail([member], exc)
            if topic.retiring:
                self._retire(crew, [member], reason_of(exc))
            else:
                topic_acks.note_refused(topic, reason_of(exc))

    def _retire_drained(self, crew: ActorGroup) -> None:
        """Retire those whose route had ended before we looked, and whose topic is read to its end now."""
        names = [name for name in self._reading.topics if name in self._topics and self._topics[name].route_ended_at]
        if names:
            lags = self._lags()
            self._retire(crew, [one for one in crew.named(names) if lags.get(one.name) == 0], READ_TO_THE_END)

    def _retire(self, crew: ActorGroup, members: Sequence[OwnedActor], why: str) -> None:
        if not members:
            return
        with transaction.atomic():
            retired = [self._topics[member.name] for member in crew.retire(members, why)]
            topic_acks.note_read_to_the_end(retired)
            note_all_read(dict.fromkeys((topic.name for topic in retired), database_now()))
        for topic in retired:
            del self._topics[topic.name]

    # What they bring.

    def _lags(self) -> dict[str, int]:
        try:
            return self._reading.subscription.lags()
        except StreamLost:
            self.close()
            return {}

    def _poll(self, crew: ActorGroup) -> list[Record]:
        """Return what waits, a small batch after a moment's growth."""
        began = time.monotonic()
        subscription = self._reading.subscription
        try:
            records = subscription.poll(POLL, BATCH)
            if 0 < len(records) < BATCH:
                crew.stop.wait(LINGER)
                records += self._gulps(BATCH - len(records))
        except StreamLost as exc:
            self._look_for_the_lost(crew, exc)
            return []
        self._lost = False
        if records:
            self._meter.polled(time.monotonic() - began)
        return records

    def _gulps(self, room: int) -> list[Record]:
        """Return what came meanwhile; more than a poll's worth where one topic has more than its share of a poll."""
        found: list[Record] = []
        for _ in self._reading.topics:
            left = room - len(found)
            more = self._reading.subscription.poll(0, left)
            found += more
            fullest = max(Counter(record.topic for record in more).values(), default=0)
            if len(found) >= room or fullest < max(1, left // len(self._reading.topics)):
                break
        return found

    def _look_for_the_lost(self, crew: ActorGroup, exc: StreamLost) -> None:
        """Subscribe anew, which names the topic that is gone; and see whether one is not ours any more."""
        self.close()
        crew.beat()
        if self._lost:
            raise exc  # twice in a row, and nobody could be named: all wait
        self._lost = True

    def _handle(self, crew: ActorGroup, records: Sequence[Record]) -> None:
        parts = parts_of(crew, records)
        stored = store_batches(crew, self._meter, parts)
        done = self._commit(crew, stored.parts)
        members = [part.member for part in done]
        if done:
            self._meter.stored(sum(len(part.records) for part in done), stored.changes, stored.received)
        try:
            with self._meter.part("cache"):
                self._update_cache(stored.changes)
        except CacheFault as exc:
            crew.fail(members, exc)
            members = []
        for member in members:
            member.actor.update_cache_success()
        crew.save(members)
        if len(members) < len(parts):
            self.close()  # what failed was delivered, and is to come again

    def _commit(self, crew: ActorGroup, parts: Sequence[Part]) -> list[Part]:
        """Commit what is stored, after the rows; return the parts for which that could be done."""
        try:
            self._reading.subscription.commit([record for part in parts for record in part.records])
        except StreamLost as exc:
            if len(parts) > 1:
                return [done for part in parts for done in self._commit(crew, [part])]
            crew.fail([part.member for part in parts], exc)
            return []
        for part in parts:
            self._drains.committed(part.member.name, len(part.records))
        return list(parts)

    def _update_cache(self, changes: Sequence[MarketChange]) -> None:
        markets = self._cold | {change.market_id for change in changes if change.changed}
        try:
            market_cache.write_markets(markets)
        except market_cache.CacheUnavailable as exc:
            log.warning("cache away", reason=str(exc))
            raise CacheFault(str(exc)) from exc
        self._cold.clear()


def _claims_of(members: Iterable[OwnedActor]) -> frozenset[str]:
    return frozenset(member.claim for member in members)
