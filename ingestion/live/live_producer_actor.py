"""The live Producer: from the provider's socket to the fixed topic and to dynamic ones, acknowledged."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from actor_runtime.configured_broker import configured_broker
from actor_runtime.errors import FeedFault, LastingFault, RouteFault
from actor_runtime.loop.session import ActorSession
from actor_runtime.models import Actor
from actor_runtime.redaction import without_secrets
from datastore import dead_letters
from datastore.coverage import feed_progress
from datastore.coverage.feed_progress import Acknowledged
from datastore.dead_letters import DeadLetterRecord
from datastore.timeframes.intervals import moment
from ingestion.live.market_connection import MarketConnection
from ingestion.live.market_feed import Rejected
from ingestion.live.metrics import count_trades
from ingestion.live.publish_buffer import PublishBuffer
from ingestion.live.socket_reader import SocketLost
from ingestion.live.subscriptions import NOTHING, look
from ingestion.live.timekeeping import Timekeeper
from ingestion.live.topic_acks import answer
from ingestion.models import Producer, Target
from streaming.broker import Publisher
from streaming.records import FeedClosed, FeedOpened, LiveRecord, Watermark, encode
from streaming.topics import TICK_DATA

log = structlog.get_logger(__name__)

CYCLE = 0.1  # seconds that a turn waits for frames at the most
LINGER = 0.02  # seconds that frames may gather, so that a busy feed costs per batch
FRAMES = 5_000  # per turn
# "Always wait at least 5 seconds to reconnect" (CryptoCompare's websocket documentation).
RECONNECT, RECONNECT_MOST = 5.0, 60.0
LASTING = (400, 401, 403)
LOOK_EVERY = 0.5  # seconds between two looks at what is followed and routed


class LiveProducer:
    """Own one connection: turn its frames into records and publish them, resending what was not acknowledged."""

    model: type[Actor] = Producer
    role = "producer-live"
    several = False
    pause = 0.0  # a turn waits for frames itself

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._session: ActorSession
        self._publisher: Publisher | None = None
        self._connection: MarketConnection | None = None
        self._outbox = PublishBuffer()
        self._time = Timekeeper(monotonic)
        self._wanted = NOTHING
        self._look_at = 0.0
        self._acknowledged: dict[str, Acknowledged] = {}  # by feed, since the last beat
        self._connect_at = 0.0
        self._wait = RECONNECT
        self._apart = ""  # why there is no connection

    def open(self, session: ActorSession) -> None:
        """Make the topic and the connection to the broker anew; a live socket stays."""
        self._session = session
        self._time.measure()
        self._time.recall()
        if self._publisher is not None:
            self._publisher.close()
        broker = configured_broker()
        admin = broker.admin()
        admin.create_topic(TICK_DATA.name, TICK_DATA.partitions)
        admin.close()
        self._publisher = broker.publisher()

    def turn(self) -> bool:
        """Read what has arrived, publish it, and say whether more may wait."""
        if self._monotonic() >= self._look_at:
            self._look()
        line = self._connection
        if line is None:
            return self._connect_when_due()
        arrivals = line.wait(CYCLE, FRAMES)
        if 0 < len(arrivals) < FRAMES:
            self._session.stop.wait(LINGER)
            arrivals += line.wait(0, FRAMES - len(arrivals))
        line.read(arrivals)
        self._publish()
        self._time.save_if_moved()
        if line.lost:
            self._lose(line, line.lost)
        return bool(arrivals)

    def beat(self) -> None:
        """Save what readers need to know: the clock, and how far every feed is acknowledged."""
        self._time.measure()
        self._time.save()
        feed_progress.note_all_acknowledged([noted for _, noted in sorted(self._acknowledged.items())])
        self._acknowledged.clear()

    def close(self) -> None:
        """End the connection with a goodbye on the topics."""
        try:
            self._say_goodbye()
        finally:
            self._drop()
            if self._publisher is not None:
                self._publisher.close()
            self._publisher = None

    def _say_goodbye(self) -> None:
        if self._connection is not None:
            self._connection.finish(FRAMES, "the producer was stopped")
            self._publish()  # saves first: where another process took over, that raises and nothing is published

    # --- what is wanted ---

    def _look(self) -> None:
        """Follow and route what the rows ask for, and answer in them what has become of it."""
        self._look_at = self._monotonic() + LOOK_EVERY
        self._wanted = look(self._outbox.given_up)
        if self._connection is not None:
            self._connection.follow(self._wanted)
            self._gather(self._connection)
        held = self._connection.topics() if self._connection is not None else ()
        answer(self._wanted.topics, self._outbox, held, self._session)

    # --- the socket ---

    def _connect_when_due(self) -> bool:
        if self._apart:  # said again where an Error has been left meanwhile
            self._session.waiting(self._apart)
        due = self._connect_at - self._monotonic()
        if due > 0:
            self._session.stop.wait(min(due, CYCLE))
            return False
        if not self._wanted.channels:
            self._apart = "a market to follow: set MARKETS or add one"
            self._session.waiting(self._apart)
            self._connect_at = self._look_at
            return False
        self._fetch()
        self._session.save()
        self._connection = MarketConnection(self._wanted, self._time)
        return True

    def _lose(self, line: MarketConnection, lost: SocketLost) -> None:
        """Let the connection go: waiting where the feed had spoken, a failed fetch where it had not."""
        self._wait = RECONNECT if line.has_spoken else min(self._wait * 2, RECONNECT_MOST)
        self._connect_at = self._monotonic() + self._wait
        reason = without_secrets(lost.reason)
        self._apart = f"the provider: {reason}"
        self._drop()
        log.warning("feed lost", reason=reason, reconnect_in=self._wait)
        if self._session.actor.state == Producer.State.FETCHING_DATA:
            raise LastingFault(lost.reason) if lost.code in LASTING else FeedFault(lost.reason)
        self._session.waiting(self._apart)

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    # --- the topics ---

    def _publish(self) -> None:
        """Publish what waits, the fixed topic first, each kind of topic in a cycle of its own."""
        if self._connection is not None:
            self._gather(self._connection)
        if self._publisher is None:
            return
        if answers := self._outbox.waits():
            with self._cycle(Target.FIXED):
                self._outbox.publish_fixed(self._publisher)
        self._bury_refused()
        if self._outbox.dynamic():
            with self._cycle(Target.DYNAMIC):
                self._publish_dynamic(self._publisher, answers)

    def _publish_dynamic(self, publisher: Publisher, answers: bool) -> None:
        known = set(self._outbox.given_up)
        self._outbox.publish_dynamic(publisher, answers=answers)
        if faults := {topic: reason for topic, reason in self._outbox.given_up.items() if topic not in known}:
            self._look_at = 0.0  # the rows are told at once
            raise RouteFault("; ".join(f"{topic}: {reason}" for topic, reason in faults.items()))

    @contextmanager
    def _cycle(self, target: Target) -> Iterator[None]:
        """Go through one cycle of the chart; what the broker acknowledged counts whatever else goes wrong."""
        self._fetch()
        self._session.actor.data_ready(target)
        self._session.save()
        try:
            yield
        finally:
            self._note_acknowledged()
        self._session.actor.publish_success()
        self._session.save()
        self._session.waiting(None)

    def _fetch(self) -> None:
        if self._session.actor.state == Producer.State.IDLE:
            self._session.actor.fetch_data()

    def _gather(self, line: MarketConnection) -> None:
        """Put the connection's records into the outbox, and what it refused among the dead letters."""
        for topic, reason in line.refused.items():
            self._outbox.give_up(topic, reason)
        line.refused.clear()
        made, rejected = line.drain()
        self._outbox.put(made)
        self._bury(line, rejected)

    def _bury(self, line: MarketConnection, rejected: list[Rejected]) -> None:
        """Keep what was refused; it stays in memory while the database is away."""
        if not rejected:
            return
        log.warning("frames refused", count=len(rejected), reason=rejected[0].reason)
        # One statement: thousands in a row would hold the turn for longer than a heartbeat may stay away.
        dead_letters.store_dead_letters(
            DeadLetterRecord(line.home_of(item.market), item.market, item.reason, item.raw) for item in rejected
        )
        rejected.clear()

    def _bury_refused(self) -> None:
        """Keep what the broker refused; a dynamic topic's is gone with its route, which says why."""
        refused = self._outbox.refused
        if refused:
            log.error("records refused by the broker", count=len(refused), reason=refused[0][1])
            dead_letters.store_dead_letters(
                DeadLetterRecord(TICK_DATA.name, record.market, reason, encode(record)) for record, reason in refused
            )
            refused.clear()

    # --- what was acknowledged ---

    def _note_acknowledged(self) -> None:
        for topic, records in self._outbox.take_acknowledged():
            if topic == TICK_DATA.name:
                self._note(records, self._connection.markets_of(topic) if self._connection is not None else [])
                count_trades(records)
                continue
            self._note(records, [records[0].market])  # a dynamic topic has one
            if not self._is_fixed(records[0].market):
                count_trades(records)
            if any(type(record) in (FeedOpened, FeedClosed) for record in records):
                self._look_at = 0.0  # the Coordinator waits for just that

    def _is_fixed(self, market: str) -> bool:
        """Tell whether a market's trades go to the fixed topic, and are counted there."""
        return self._connection is not None and self._connection.carries(market, TICK_DATA.name)

    def _note(self, records: list[LiveRecord], markets: list[str]) -> None:
        for record in records:
            if type(record) is Watermark:
                known = self._acknowledged.get(record.feed)
                if known is None or moment(record.until) > known.until:
                    self._acknowledged[record.feed] = Acknowledged(record.feed, moment(record.until), markets)
