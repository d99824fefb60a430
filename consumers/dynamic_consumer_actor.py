"""The consumers of dynamic topics: one actor per topic, many in a process, which read, store and save together.

The cost of a turn is per poll, not per topic: one subscription, one transaction, one statement for all states.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress

import structlog
from django.db import transaction

from actor_runtime.errors import CacheFault
from actor_runtime.loop.actor_group import ActorGroup, OwnedActor
from actor_runtime.models import Actor
from actor_runtime.reset_policy import reason_of
from consumers import topic_acks
from consumers.batch_pace import MAX_BATCH_RECORDS
from consumers.batch_store import TopicBatch, batches_by_topic, store_batches
from consumers.fixed_consumer_actor import POLL_TIMEOUT_S
from consumers.group_progress import DrainTracker
from consumers.metrics import BatchMetrics
from consumers.models import DynamicTopicConsumer
from consumers.subscription import TopicSubscription
from consumers.topic_acks import OpenTopic
from consumers.version_confirmer import VersionConfirmer
from datastore.coverage.feed_progress import note_all_read
from datastore.db.news import News, Subject
from datastore.ingest import market_cache
from datastore.ingest.live_write import MarketChange
from datastore.reference.provider_clock import steady_now
from streaming.broker import Record
from streaming.errors import StreamLost
from streaming.topics import CONSUMER_GROUP, DYNAMIC_LABEL

log = structlog.get_logger(__name__)

LINGER_S = 0.05  # how long a small batch may grow, so that many topics that trade cost per batch
FULLY_READ = "its topic is read to its end"
State = DynamicTopicConsumer.State


class DynamicTopicsWork:
    """Store what comes in the topics for which this process owns an actor."""

    model: type[Actor] = DynamicTopicConsumer
    role = "dynamic-consumer"
    pause = 0.25  # while there is no topic to read; otherwise a turn waits for records itself

    def __init__(self) -> None:
        self._topics: dict[str, OpenTopic] = {}  # all topics to read, in any process
        self._subscription = TopicSubscription(CONSUMER_GROUP)
        self._news = News(Subject.ROUTES)
        self._claims: frozenset[str] = frozenset()  # of the actors for which the subscription reads
        self._stream_lost = False  # the last poll failed because of one of its topics
        self._drain_tracker = DrainTracker()
        self._metrics = BatchMetrics(DYNAMIC_LABEL)
        self._cold_markets: set[int] = set()  # ids to write to the cache even if nothing changed
        self._confirmer = VersionConfirmer()

    def has_news(self) -> bool:
        """Return whether a topic may have been made."""
        return self._news.any()

    def actor_names(self) -> Collection[str]:
        """Return the topics to read."""
        self._topics = topic_acks.open_topics()
        return self._topics.keys()

    def turn(self, actors: ActorGroup) -> bool:
        """Handle one poll; True if there may be more."""
        self._confirmer.look()

        # Retire the actors whose route ended before `_topics` was read, and whose topic is read to its end now.
        topics = self._topics
        names = [name for name in self._subscription.topics if name in topics and topics[name].route_ended_at]
        if names:
            lags = self._lags()
            self._retire(actors, [one for one in actors.members_of(names) if lags.get(one.name) == 0], FULLY_READ)

        # Read the topics of the actors in Consuming, after those in Idle have begun to subscribe.
        due = [member for member in actors if member.name in self._topics and actors.is_due(member)]
        begun = [member for member in due if member.state == State.IDLE]
        for member in begun:
            member.actor.subscribe_to_topic()
        fenced = actors.save(begun)
        due = [member for member in due if member.name not in fenced]
        # By claim, not by name: a topic that was lost and came back has been read by another process in between.
        if _claims_of(due) != self._claims:
            self._assign(actors, due)

        if not self._subscription.topics:
            return False
        if records := self._poll(actors):
            self._handle(actors, records)
        return True

    def beat(self, actors: ActorGroup) -> None:
        """Note up to when the topics are stored, and report what they lost."""
        self._metrics.beat()
        if not self._subscription.topics:
            return
        for loss in self._subscription.subscription.take_losses():
            self._metrics.lost(loss.count)
            log.error("records lost", topic=loss.topic, after=loss.position, count=loss.count)
        at = steady_now()  # first: what is published during the question must not count as stored
        note_all_read(self._drain_tracker.drained_until(self._lags(), at))

    def close(self) -> None:
        """Close the subscription; what is not committed will be delivered again."""
        self._claims = frozenset()
        self._subscription.close()

    # Which topics are read.

    def _assign(self, actors: ActorGroup, members: Sequence[OwnedActor]) -> None:
        """Read just the topics of these actors, and fail those whose topic cannot be read."""
        before, self._claims = self._claims, frozenset()
        lost = self._subscription.assign([member.name for member in members])
        for member in actors.members_of(lost):
            topic, exc = self._topics[member.name], lost[member.name]
            actors.fail([member], exc)
            if topic.retiring:
                self._retire(actors, [member], reason_of(exc))
            else:
                topic_acks.note_refused(topic, reason_of(exc))

        reading = actors.members_of(self._subscription.topics)
        with transaction.atomic():
            for member in reading:
                if member.state == State.SUBSCRIBING:
                    member.actor.subscribe_success()

            # Save the actors that have just begun, and acknowledge the topics whose row does not name this process.
            unacknowledged = {name for name, topic in self._topics.items() if topic.lacks_ack_of(actors.me)}
            # Those without a new state are saved too: that checks the epoch, so a lost topic is never acknowledged.
            actors.save([member for member in reading if member.name in unacknowledged or member.actor.journal.pending])
            ours = actors.members_of(member.name for member in reading)
            if topics := [self._topics[member.name] for member in ours if member.name in unacknowledged]:
                topic_acks.note_subscribed(topics, actors.me)
        actors.resumed(reading)
        self._claims = _claims_of(reading)

        new = [member for member in reading if member.claim not in before]
        self._cold_markets |= {self._topics[member.name].market_id for member in new}
        # A cache that is away never holds trades back: the next batch that reaches it writes these markets.
        with suppress(CacheFault):
            self._update_cache([])

    def _retire(self, actors: ActorGroup, members: Sequence[OwnedActor], why: str) -> None:
        if not members:
            return
        with transaction.atomic():
            retired = [self._topics[member.name] for member in actors.retire(members, why)]
            topic_acks.note_drained(retired)
            note_all_read(dict.fromkeys((topic.name for topic in retired), steady_now()))
        for topic in retired:
            del self._topics[topic.name]

    # What the topics bring.

    def _lags(self) -> dict[str, int]:
        try:
            return self._subscription.subscription.lags()
        except StreamLost:
            self.close()
            return {}

    def _poll(self, actors: ActorGroup) -> list[Record]:
        """Return what waits; a small batch is left to grow for a moment."""
        began = time.monotonic()
        subscription = self._subscription.subscription
        try:
            records = subscription.poll(POLL_TIMEOUT_S, MAX_BATCH_RECORDS)
            if 0 < len(records) < MAX_BATCH_RECORDS:
                actors.stop.wait(LINGER_S)
                # Take what came in the pause, by several polls if one topic has more than its share of a poll.
                room = MAX_BATCH_RECORDS - len(records)
                found: list[Record] = []
                for _ in self._subscription.topics:
                    left = room - len(found)
                    chunk = self._subscription.subscription.poll(0, left)
                    found += chunk
                    fullest = max(Counter(record.topic for record in chunk).values(), default=0)
                    if len(found) >= room or fullest < max(1, left // len(self._subscription.topics)):
                        break
                records += found
        except StreamLost:
            self.close()  # the next turn subscribes again, which finds the topic that is gone
            actors.beat()  # and this finds one that another process took
            if self._stream_lost:
                raise  # twice in a row without finding the topic: all actors wait
            self._stream_lost = True
            return []

        self._stream_lost = False
        if records:
            self._metrics.polled(time.monotonic() - began)
        return records

    def _handle(self, actors: ActorGroup, records: Sequence[Record]) -> None:
        batches = batches_by_topic(actors, records)
        stored = store_batches(actors, self._metrics, batches)
        committed = self._commit(actors, stored.batches)
        members = [batch.member for batch in committed]
        if committed:
            count = sum(len(batch.records) for batch in committed)
            self._metrics.stored(count, stored.changes, stored.received)

        try:
            with self._metrics.time_step("cache"):
                self._update_cache(stored.changes)
        except CacheFault as exc:
            actors.fail(members, exc)
            members = []
        for member in members:
            member.actor.update_cache_success()
        actors.save(members)
        if len(members) < len(batches):
            self.close()  # what failed has been delivered and must be delivered again

    def _commit(self, actors: ActorGroup, batches: Sequence[TopicBatch]) -> list[TopicBatch]:
        """Commit what is stored, after the rows; return the batches for which that succeeded."""
        try:
            self._subscription.subscription.commit([record for batch in batches for record in batch.records])
        except StreamLost as exc:
            if len(batches) > 1:
                return [done for batch in batches for done in self._commit(actors, [batch])]
            actors.fail([batch.member for batch in batches], exc)
            return []
        for batch in batches:
            self._drain_tracker.committed(batch.member.name, len(batch.records))
        return list(batches)

    def _update_cache(self, changes: Sequence[MarketChange]) -> None:
        markets = self._cold_markets | {change.market_id for change in changes if change.changed}
        try:
            market_cache.write_markets(markets)
        except market_cache.CacheUnavailable as exc:
            log.warning("cache away", reason=str(exc))
            raise CacheFault(str(exc)) from exc
        self._cold_markets.clear()


def _claims_of(members: Iterable[OwnedActor]) -> frozenset[str]:
    return frozenset(member.claim for member in members)
