"""The live Producer: from the provider's socket to the fixed topic and the dynamic ones, acknowledged.

One turn: frames -> MarketConnection -> records -> TopicRouter -> PublishBuffer -> the broker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import structlog
from django.conf import settings

from actor_runtime.configured_broker import configured_broker
from actor_runtime.errors import FeedFault, LastingFault, RouteFault
from actor_runtime.loop.session import ActorSession
from actor_runtime.models import Actor
from actor_runtime.redaction import without_secrets
from datastore import dead_letters
from datastore.coverage import feed_progress
from datastore.coverage.feed_progress import Acknowledged
from datastore.dead_letters import DeadLetterRecord
from datastore.reference.provider_registry import live_role
from datastore.timeframes.intervals import SECOND_US, moment
from ingestion.live.clock_estimate import boot_seconds
from ingestion.live.market_connection import MarketConnection
from ingestion.live.metrics import count_trades
from ingestion.live.publish_buffer import PublishBuffer
from ingestion.live.refusals import write_refusals
from ingestion.live.socket_reader import SocketLost
from ingestion.live.subscriptions import NO_SUBSCRIPTIONS, read_subscriptions
from ingestion.live.timekeeping import Timekeeper
from ingestion.live.topic_acks import write_topic_acks
from ingestion.live.topic_router import TopicRouter
from ingestion.models import Producer, Target
from ingestion.provider_access import ACCESS_CHANGED, STREAM, access_of, is_changed, note_refused
from ingestion.providers.port import Provider
from streaming.broker import Publisher
from streaming.ends import EndCode
from streaming.records import FeedClosed, FeedOpened, LiveRecord, Watermark, encode
from streaming.topics import TICK_DATA

log = structlog.get_logger(__name__)

FRAME_WAIT_S = 0.1  # that a turn waits for frames
LINGER_S = 0.02  # that frames may gather, so that a busy feed costs per batch
MAX_FRAMES_PER_TURN = 5_000
MAX_RECONNECT_DELAY_S = 60.0
LASTING_STATUSES = (400, 401, 403)  # of HTTP: only a person can end these
BROKER_AWAY_REASON = "the broker was away too long"
REFRESH_INTERVAL_S = 0.5  # between two reads of what is followed and routed


class LiveProducer:
    """Own one connection to a provider: turn its frames into records, and publish until acknowledged."""

    model: type[Actor] = Producer
    several = False
    pause = 0.0  # a turn waits for frames itself

    def __init__(self, provider: Provider, monotonic: Callable[[], float] = boot_seconds) -> None:
        """Take the markets of this provider."""
        self._provider = provider
        self.role = live_role(provider.name)
        self._least_delay = self._provider.traits.stream.reconnect_after.total_seconds()
        self._monotonic = monotonic
        self._session: ActorSession
        self._publisher: Publisher | None = None
        self._connection: MarketConnection | None = None
        self._router = TopicRouter()
        self._buffer = PublishBuffer()
        self._time = Timekeeper(provider.name, monotonic)
        self._subscriptions = NO_SUBSCRIPTIONS
        self._refresh_at = 0.0
        self._acknowledged: dict[str, Acknowledged] = {}  # by feed, since the last beat
        self._connect_at = 0.0
        self._reconnect_delay = self._least_delay
        self._waiting_for = ""  # why there is no connection

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
        connection = self._connection
        if connection is None:
            return self._connect_when_due()

        if self._buffer.is_full and connection.lost is None:
            # What has been received will be published, and the spans end behind it; later ones are fetched as history.
            connection.abandon(BROKER_AWAY_REASON, EndCode.STREAM)
        arrivals = connection.wait(FRAME_WAIT_S if self._buffer.is_empty else 0, MAX_FRAMES_PER_TURN)
        if 0 < len(arrivals) < MAX_FRAMES_PER_TURN:
            self._session.stop.wait(LINGER_S)
            arrivals += connection.wait(0, MAX_FRAMES_PER_TURN - len(arrivals))
        connection.read(arrivals)
        self._publish(connection)
        self._time.save_if_moved()
        if connection.lost and not self._buffer.has_unsent():  # its last records may be many turns' work
            self._lose(connection, connection.lost)
        return bool(arrivals) or not self._buffer.is_empty

    def cause_is_gone(self, actor: Producer) -> str | None:
        """Return that the key or address that was refused has been changed, if so."""
        return ACCESS_CHANGED if is_changed(actor, access_of(self._provider, STREAM)) else None

    def beat(self) -> None:
        """Save what readers need to know: the clock, and how far every feed is acknowledged."""
        self._time.measure()
        self._time.save()
        feed_progress.note_all_acknowledged([noted for _, noted in sorted(self._acknowledged.items())])
        self._acknowledged.clear()

    def close(self) -> None:
        """End the connection, and every span on the topics."""
        try:
            if self._connection is not None:
                self._connection.finish(MAX_FRAMES_PER_TURN, "the producer was stopped", EndCode.STOPPED)
                # Saves first: if another process took the actor over, that raises and nothing is published.
                self._publish(self._connection)
                while self._publisher is not None and not self._buffer.is_empty:
                    self._publish(self._connection)
        finally:
            self._drop()
            if self._publisher is not None:
                self._publisher.close()
            self._publisher = None

    # --- the connection ---

    def _connect_when_due(self) -> bool:
        if self._waiting_for:  # said again, since an Error may have been left in between
            self._session.waiting(self._waiting_for)
        due = self._connect_at - self._monotonic()
        if due > 0:
            self._session.stop.wait(min(due, FRAME_WAIT_S))
            return False
        if not self._subscriptions.channels:
            self._waiting_for = "a market to follow: set MARKETS or add one"
            self._session.waiting(self._waiting_for)
            self._connect_at = self._refresh_at
            return False
        self._begin_fetching()
        self._session.save()
        self._connection = MarketConnection(
            self._provider,
            self._subscriptions.channels,
            self._time,
            grace=round(settings.GRACE * SECOND_US),
            retention=settings.TICK_RETENTION_DAYS * 86_400 * SECOND_US,
        )
        self._connection.start()
        return True

    def _lose(self, connection: MarketConnection, lost: SocketLost) -> None:
        """Drop the connection: wait if the feed had spoken; if it had not, the fetch has failed."""
        spoke = connection.has_records
        self._reconnect_delay = self._least_delay if spoke else min(self._reconnect_delay * 2, MAX_RECONNECT_DELAY_S)
        self._connect_at = self._monotonic() + self._reconnect_delay
        reason = without_secrets(lost.reason)
        self._waiting_for = f"the provider: {reason}"
        self._drop()
        log.warning("feed lost", reason=reason, reconnect_in=self._reconnect_delay)
        if self._session.actor.state == Producer.State.FETCHING_DATA:
            if lost.code not in LASTING_STATUSES:
                raise FeedFault(lost.reason)
            note_refused(self._session, access_of(self._provider, STREAM))
            raise LastingFault(lost.reason)
        self._session.waiting(self._waiting_for)

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection, self._router = None, TopicRouter()

    # --- what is followed and routed ---

    def _refresh(self) -> None:
        """Follow and route what the rows ask for, and write into them what has become of it."""
        self._refresh_at = self._monotonic() + REFRESH_INTERVAL_S
        self._subscriptions = read_subscriptions(self._provider, self._buffer.given_up)
        if self._connection is not None:
            if self._connection.is_open:
                self._follow(self._connection)
            self._gather(self._connection)
            write_refusals(self._subscriptions.refusals, self._connection, self._session)
        write_topic_acks(self._subscriptions.topics, self._buffer, self._router.topics, self._session)

    def _follow(self, connection: MarketConnection) -> None:
        """Join and leave channels and routes; the connection stays, and so do the other spans."""
        self._route(connection)  # what was received before goes along the routes of that time
        router, wanted = self._router, self._subscriptions
        for market, topic in router.route_keys - wanted.routes:
            reason = "no longer followed" if topic == TICK_DATA.name else "the stream has ended"
            router.end(market, topic, reason, EndCode.LEFT)
        if connection.lost is not None:
            return

        asked_by_streams = {market for market, topic in wanted.routes - router.route_keys if topic != TICK_DATA.name}
        left, joined = connection.change_channels(wanted.channels, retry=asked_by_streams)
        for market in left:  # if it is still wanted, its channel has another name now, and its routes begin again
            for topic in router.topics_of(market):
                router.end(market, topic, "the market's channel changed", EndCode.RESUBSCRIBED)
        for market, topic in wanted.routes:
            if market in joined:
                router.begin(market, topic)

        # What is left are new routes of markets that are subscribed to; the others' turn comes when they are.
        now = self._time.local_now()
        channels = {symbol: channel for channel, symbol in wanted.channels.items()}
        for market, topic in sorted(wanted.routes - router.route_keys):
            start = connection.claim_start(channels[market], now)
            if start is not None:
                router.begin(market, topic, start)

    def _route(self, connection: MarketConnection) -> None:
        """Send the connection's records along their routes into the buffer; refused markets' routes end.

        The routes begin when the connection opens.
        """
        router = self._router
        if connection.is_open and router.connection != connection.name:
            router = self._router = TopicRouter(connection.name)
            markets = set(connection.channels.values())
            for market, topic in self._subscriptions.routes:
                if market in markets:
                    router.begin(market, topic)
            routes = len(router.route_keys)
            log.info("feed connected", feed=connection.feed, markets=len(connection.channels), routes=routes)
        router.send(connection.drain())
        for market, reason in connection.refused:
            topics = router.topics_of(market)
            for topic in topics:
                router.end(market, topic, reason, EndCode.SUBSCRIPTION)
            self._buffer.put(router.drain())  # before they are given up: a topic has to hear of its end
            for topic in topics:
                if topic != TICK_DATA.name:
                    self._buffer.give_up_when_sent(topic, reason)
            if not connection.has_markets:
                self._session.waiting(f"a market that the provider accepts: {reason}")
        connection.refused.clear()
        self._buffer.put(router.drain())

    def _gather(self, connection: MarketConnection) -> None:
        """Move what the connection made into the buffer, and what it rejected to the dead letters."""
        self._route(connection)
        rejected = connection.rejected
        if rejected:
            log.warning("frames refused", count=len(rejected), reason=rejected[0].refusal.detail)
            # One statement: thousands in a row would hold the turn for longer than a heartbeat may stay away.
            dead_letters.store_dead_letters(
                DeadLetterRecord(self._subscriptions.topic_of(item.market), item.market, item.refusal, item.raw)
                for item in rejected
            )
            rejected.clear()  # only now: they stay in memory while the database is away

    # --- the topics ---

    def _publish(self, connection: MarketConnection) -> None:
        """Publish what waits, the fixed topic first, each kind of topic in a cycle of its own."""
        self._gather(connection)
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
        self._session.save()
        self._session.waiting(None)

    def _begin_fetching(self) -> None:
        if self._session.actor.state == Producer.State.IDLE:
            self._session.actor.fetch_data()

    def _note_acknowledged(self) -> None:
        for topic, records in self._buffer.take_acknowledged():
            if topic == TICK_DATA.name:
                self._note_watermarks(records, self._router.markets_of(topic))
                count_trades(records)
                continue
            market = records[0].market  # a dynamic topic has one
            self._note_watermarks(records, [market])
            if not self._router.carries(market, TICK_DATA.name):  # else its trades are counted there
                count_trades(records)
            if any(type(record) in (FeedOpened, FeedClosed) for record in records):
                self._refresh_at = 0.0  # the Coordinator waits for just that

    def _note_watermarks(self, records: list[LiveRecord], markets: list[str]) -> None:
        for record in records:
            if type(record) is Watermark:
                known = self._acknowledged.get(record.feed)
                if known is None or moment(record.until) > known.until:
                    self._acknowledged[record.feed] = Acknowledged(record.feed, moment(record.until), markets)
