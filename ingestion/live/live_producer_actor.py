"""The live Producer: from the provider's socket to the fixed topic and the dynamic ones, acknowledged.

One turn: frames -> MarketConnection -> records -> TopicRouter -> PublishBuffer -> the broker. Which connections there
are, and when one follows another, is in lines.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import structlog
from django.db import transaction

from actor_runtime.configured_broker import configured_broker
from actor_runtime.errors import FeedFault, LastingFault, RouteFault
from actor_runtime.loop.session import ActorSession
from actor_runtime.models import Actor
from actor_runtime.redaction import without_secrets
from datastore import dead_letters
from datastore.coverage import feed_progress
from datastore.coverage.feed_progress import Acknowledged
from datastore.db.news import News, Subject
from datastore.dead_letters import DeadLetterRecord
from datastore.reference.provider_registry import live_role
from datastore.timeframes.intervals import moment
from ingestion.live.clock_estimate import boot_seconds
from ingestion.live.copies import Copies, copies_of
from ingestion.live.lines import Lines
from ingestion.live.metrics import count_trades
from ingestion.live.publish_buffer import PublishBuffer
from ingestion.live.refusals import write_refusals
from ingestion.live.subscriptions import Subscriptions, read_subscriptions
from ingestion.live.timekeeping import Timekeeper
from ingestion.live.topic_acks import write_topic_acks
from ingestion.models import Producer, Target
from ingestion.provider_access import ACCESS_CHANGED, STREAM, access_of, is_changed, note_refused
from ingestion.providers.port import Provider
from streaming.broker import Publisher
from streaming.ends import EndCode
from streaming.records import FeedClosed, FeedOpened, Watermark, encode
from streaming.topics import TICK_DATA

log = structlog.get_logger(__name__)

FRAME_WAIT_S = 0.25  # that a turn waits for frames
LINGER_S = 0.01  # that frames may gather, so that a busy feed costs per batch
MAX_FRAMES_PER_TURN = 5_000
LASTING_STATUSES = (400, 401, 403, 451)  # of HTTP: only a person can end these
NO_MARKET = "a market to follow: set MARKETS or add one"
BROKER_AWAY_REASON = "the broker was away too long"
REFRESH_INTERVAL_S = 0.5  # between two reads of what is followed and routed


class LiveProducer:
    """Own the connections to a provider: turn their frames into records, and publish until acknowledged."""

    model: type[Actor] = Producer
    several = False
    pause = 0.0  # a turn waits for frames itself

    def __init__(self, provider: Provider, monotonic: Callable[[], float] = boot_seconds) -> None:
        """Take the markets of this provider."""
        self._provider = provider
        self.role = live_role(provider.name)
        self.copies = copies_of(provider.traits)
        self._monotonic = monotonic
        self._session: ActorSession
        self._publisher: Publisher | None = None
        self._buffer = PublishBuffer()
        self._time = Timekeeper(provider.name, monotonic)
        self._lines = Lines(provider, self._time, monotonic)
        self._copies = Copies(self.role, self.copies)
        self._refresh_at = 0.0
        self._news = News(Subject.ROUTES)
        self._wanted: Subscriptions | None = None
        self._acknowledged: dict[str, Acknowledged] = {}  # by feed, since the last beat

    def open(self, session: ActorSession) -> None:
        """Make the topic and a new connection to the broker; a live socket stays open."""
        self._session = session
        self._time.measure()
        self._time.restore()
        if self._publisher is not None:
            self._publisher.close()
        broker = configured_broker()
        with closing(broker.admin()) as admin:
            admin.create_topic(TICK_DATA.name, TICK_DATA.partitions)
        self._publisher = broker.publisher()

    def turn(self) -> bool:
        """Read what has arrived and publish it; return whether more may wait."""
        if self._monotonic() >= self._refresh_at:
            self._refresh()
        if not self._lines.are_there:
            return self._connect_when_due()

        self._lines.connect_due()
        if self._buffer.is_full:
            # What has been received will be published, and the spans end behind it; later ones are fetched as history.
            for line in self._lines:
                if line.connection.lost is None:
                    line.connection.abandon(BROKER_AWAY_REASON, EndCode.STREAM)
        if 0 < self._lines.wait(FRAME_WAIT_S if self._buffer.is_empty else 0) < MAX_FRAMES_PER_TURN:
            self._session.stop.wait(LINGER_S)
        count = self._lines.read(MAX_FRAMES_PER_TURN)
        self._publish()
        self._time.save_if_moved()
        self._lines.hand_over()
        if not self._buffer.has_unsent():  # the last records of a lost one may be many turns' work
            for lost in self._lines.drop_lost():
                # Wait if the feed had spoken, or others go on; if it had not, the fetch has failed.
                reason = lost.lost.reason
                log.warning("feed lost", reason=without_secrets(reason), reconnect_in=lost.delay)
                if self._session.actor.state == Producer.State.FETCHING_DATA and not self._lines.are_there:
                    if lost.lost.code not in LASTING_STATUSES:
                        raise FeedFault(reason)
                    note_refused(self._session, access_of(self._provider, STREAM))
                    raise LastingFault(reason)
                self._session.waiting(self._lines.trouble)
        return count > 0 or not self._buffer.is_empty

    def cause_is_gone(self, actor: Producer) -> str | None:
        """Return that the key or address that was refused has been changed, if so."""
        return ACCESS_CHANGED if is_changed(actor, access_of(self._provider, STREAM)) else None

    def beat(self) -> None:
        """Save what readers need to know: the clock, and how far every feed is acknowledged."""
        with transaction.atomic():
            self._time.measure()
            self._time.save()
            feed_progress.note_all_acknowledged([noted for _, noted in sorted(self._acknowledged.items())])
        self._acknowledged.clear()

    def close(self) -> None:
        """End the connection, and every span on the topics."""
        try:
            for line in self._lines:
                line.connection.finish(MAX_FRAMES_PER_TURN, "the producer was stopped", EndCode.STOPPED)
            if self._lines.with_records:
                # Saves first: if another process took the actor over, that raises and nothing is published.
                self._publish()
                while self._publisher is not None and not self._buffer.is_empty:
                    self._publish()
        finally:
            self._lines.close()
            if self._publisher is not None:
                self._publisher.close()
            self._publisher = None

    # --- the connections ---

    def _connect_when_due(self) -> bool:
        trouble, due = self._lines.trouble, self._lines.due_in()
        if due is None:
            refused = next(iter(self._lines.refusals.values()), None)
            trouble = f"a market that the provider accepts: {refused}" if refused else NO_MARKET
        if trouble:  # said again, since an Error may have been left in between
            self._session.waiting(trouble)
        if due is None or due > 0:
            self._session.stop.wait(min(FRAME_WAIT_S if due is None else due, FRAME_WAIT_S))
            return False
        self._begin_fetching()
        self._session.save()
        self._lines.connect_due()
        return True

    # --- what is followed and routed ---

    def _refresh(self) -> None:
        """Follow and route what the rows ask for, and write into them what has become of it."""
        self._refresh_at = self._monotonic() + REFRESH_INTERVAL_S
        self._copies.look(self._session.name)
        wanted = self._wanted = self._read_wanted()
        self._lines.want(wanted)
        for line in self._lines:
            if line.connection.is_open:
                line.follow(self._lines.wanted_of(line), self._buffer, self._time.local_now())
        for row in wanted.topics:
            if row.is_routed and row.symbol in wanted.unlisted:
                self._buffer.give_up_when_sent(row.name, wanted.unlisted[row.symbol])
        self._gather()
        if self._copies.is_first:
            write_refusals(wanted.refusals, self._lines.refusals, self._lines.subscribed, self._session)
        write_topic_acks(wanted.topics, self._buffer, self._lines.topics, self._session)

    def _read_wanted(self) -> Subscriptions:
        """Return what is wanted now; what was read before, where nothing of it can have changed without news."""
        known = self._wanted
        if not self._news.any() and known and self.copies == 1:
            troubles = [*known.unlisted, *self._lines.refusals, *filter(None, known.refusals.values())]
            if not (known.topics or troubles):
                return known
        self._wanted = None  # until we know better: this may fail
        return read_subscriptions(self._provider, self._buffer.given_up, self._copies.is_ours)

    def _gather(self) -> None:
        """Move what the connections made into the buffer, and what they rejected to the dead letters."""
        for line in self._lines.with_records:
            if refused := line.route(self._lines.wanted_of(line), self._buffer):
                self._session.waiting(f"a market that the provider accepts: {refused}")
            rejected = line.connection.rejected
            if rejected:
                log.warning("frames refused", count=len(rejected), reason=rejected[0].refusal.detail)
                # One statement: thousands in a row would hold the turn for longer than a heartbeat may stay away.
                dead_letters.store_dead_letters(
                    DeadLetterRecord(self._lines.wanted.topic_of(item.market), item.market, item.refusal, item.raw)
                    for item in rejected
                )
                rejected.clear()  # only now: they stay in memory while the database is away

    # --- the topics ---

    def _publish(self) -> None:
        """Publish what waits, the fixed topic first, each kind of topic in a cycle of its own."""
        self._gather()
        buffer, publisher = self._buffer, self._publisher
        if publisher is None:
            return
        if broker_answers := buffer.has_unsent():
            with self._cycle(Target.FIXED):
                buffer.publish_fixed(publisher)
        if refused := buffer.refused:
            log.error("records refused by the broker", count=len(refused), reason=refused[0][1].detail)
            dead_letters.store_dead_letters(
                DeadLetterRecord(TICK_DATA.name, record.market, refusal, encode(record)) for record, refusal in refused
            )
            refused.clear()
        if buffer.unsent_dynamic_topics():
            with self._cycle(Target.DYNAMIC):
                known = set(buffer.given_up)
                buffer.publish_dynamic(publisher, broker_answers=broker_answers)
                if faults := [f"{topic}: {why}" for topic, why in buffer.given_up.items() if topic not in known]:
                    self._refresh_at = 0.0  # write it into the rows at once
                    raise RouteFault("; ".join(faults))
        if self._session.actor.journal.pending and not self._lines.waiting:
            self._session.save()  # else with the next cycle, which begins at once

    @contextmanager
    def _cycle(self, target: Target) -> Iterator[None]:
        """Go through one cycle of the chart; what the broker acknowledged counts whatever else goes wrong."""
        self._begin_fetching()
        self._session.actor.data_ready(target)
        self._session.save()
        try:
            yield
        finally:
            self._note_acknowledged()
        self._session.actor.publish_success()
        self._session.waiting(self._lines.trouble)

    def _begin_fetching(self) -> None:
        if self._session.actor.state == Producer.State.IDLE:
            self._session.actor.fetch_data()

    def _note_acknowledged(self) -> None:
        for topic, records in self._buffer.take_acknowledged():
            for record in records:
                if type(record) is Watermark:
                    known = self._acknowledged.get(record.feed)
                    if known is None or moment(record.until) > known.until:
                        markets = known.markets if known else [record.market]  # a dynamic topic has one
                        if known is None and topic == TICK_DATA.name:
                            markets = self._lines.markets_of(record.feed, topic)
                        self._acknowledged[record.feed] = Acknowledged(record.feed, moment(record.until), markets)

            if topic == TICK_DATA.name:
                count_trades(records)
                continue
            if not self._lines.carry(records[0].market, TICK_DATA.name):  # else its trades are counted there
                count_trades(records)
            if any(type(record) in (FeedOpened, FeedClosed) for record in records):
                self._refresh_at = 0.0  # the Coordinator waits for just that
