"""The live Producer: from the provider's socket to the fixed topic, acknowledged."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import timedelta

import structlog
from django.conf import settings
from django.db import connection

from actors.errors import LastingFault, PlatformFault
from actors.models import Actor
from actors.secrets import without_secrets
from actors.session import ActorSession
from datastore import clock as stored_clock
from datastore import dead_letters, feeds
from datastore.dead_letters import Letter
from datastore.intervals import micros_of, moment
from datastore.models import ProviderClock
from ingestion.clock import SECOND, ClockEstimate
from ingestion.counting import count_trades
from ingestion.feed import Arrival, Connected, FeedReader, Frame, Lost
from ingestion.intake import Intake
from ingestion.models import Producer, Target
from ingestion.providers import cryptocompare as provider
from ingestion.subscriptions import change_of, followed_subscriptions
from streaming.connect import connect
from streaming.errors import PublishFailed
from streaming.port import Message, Publisher
from streaming.records import LiveRecord, Watermark, encode
from streaming.topics import TICK_DATA

log = structlog.get_logger(__name__)

CYCLE = 0.1  # seconds that a turn waits for frames at the most
LINGER = 0.02  # seconds that frames may gather, so that a busy feed costs per batch
FRAMES = 5_000  # per turn
STALLED = 70.0  # local seconds without any frame: two heartbeats of 30 s have been missed
# "Always wait at least 5 seconds to reconnect" (CryptoCompare's websocket documentation).
RECONNECT, RECONNECT_MOST = 5.0, 60.0
# The streamer's refusals as HTTP's: 500 is its word for a request that it does not understand.
STATUS = {provider.UNAUTHORIZED: 401, provider.LIMITED: 429, provider.PROBLEM: 400}
LASTING = (400, 401, 403)
LOOK_EVERY = 3.0  # seconds between two looks for a market to follow where there is none


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
        self._reader: FeedReader | None = None
        self._intake: Intake | None = None
        self._lost: Lost | None = None
        self._subs: dict[str, str] = {}
        self._unsent: list[LiveRecord] = []
        self._clock = ClockEstimate()
        self._database_ahead = 0  # database clock - local monotonic, microseconds
        self._saved_offset = 0
        self._acknowledged: dict[str, int] = {}  # feed -> newest acknowledged `until`
        self._connect_at = 0.0
        self._wait = RECONNECT

    def open(self, session: ActorSession) -> None:
        """Make the topic and the connection to the broker anew; a live socket stays."""
        self._session = session
        self._measure_clock()
        self._recall_clock()
        if self._publisher is not None:
            self._publisher.close()
        broker = connect(settings.STREAM_URL, settings.STREAM_MAXLEN, settings.KAFKA)
        admin = broker.admin()
        admin.create_topic(TICK_DATA.name, TICK_DATA.partitions)
        admin.close()
        self._publisher = broker.publisher()

    def turn(self) -> bool:
        """Read what has arrived, publish it, and say whether more may wait."""
        if self._reader is None:
            return self._connect_when_due()
        arrivals = self._reader.take(CYCLE, FRAMES)
        if 0 < len(arrivals) < FRAMES:
            self._session.stop.wait(LINGER)
            arrivals += self._reader.take(0, FRAMES - len(arrivals))
        # Kept until it is dealt with: publishing may fail first, and no frame comes from a lost socket to remind us.
        self._lost = lost = self._lost or self._read(arrivals) or self._stalled()
        if lost and self._intake:
            self._intake.close(lost.reason)
        self._publish()
        if abs(self._clock.offset - self._saved_offset) > SECOND:
            self._save_clock()
        if lost:
            self._lose(lost)
        return bool(arrivals)

    def beat(self) -> None:
        """Save what readers need to know of this feed, its clock and how far it is acknowledged; follow who is new."""
        self._measure_clock()
        self._save_clock()
        self._follow()
        for feed, until in self._acknowledged.items():
            feeds.note_acknowledged(feed, moment(until), markets=list(self._subs.values()))

    def close(self) -> None:
        """End the connection with a goodbye on the topic."""
        try:
            self._say_goodbye()
        finally:
            self._drop()
            if self._publisher is not None:
                self._publisher.close()
            self._publisher = None

    def _say_goodbye(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._read(self._reader.take(0, FRAMES))
        if self._intake is not None:
            self._intake.close("the producer was stopped")
            self._publish()  # saves first: where another process took over, that raises and nothing is published

    # --- the socket ---

    def _connect_when_due(self) -> bool:
        due = self._connect_at - self._monotonic()
        if due > 0:
            self._session.stop.wait(min(due, CYCLE))
            return False
        self._subs = followed_subscriptions()
        if not self._subs:
            self._session.waiting("a market to follow: set MARKETS or add one")
            self._connect_at = self._monotonic() + LOOK_EVERY
            return False
        self._fetch()
        self._session.save()
        message = provider.subscribe_message(sorted(self._subs))
        url = settings.CRYPTOCOMPARE_WS_URL
        self._reader = FeedReader(url, settings.CRYPTOCOMPARE_API_KEY, message, settings.READER_QUEUE)
        self._reader.start()
        return True

    def _follow(self) -> None:
        """Join what is followed since, and leave what is not any more; the connection stays, and so do other spans."""
        if self._reader is None or self._intake is None or self._lost is not None:
            return
        change = change_of(self._subs)
        left = [sub for sub in change.leave if self._intake.remove(sub)]
        self._subs = {sub: symbol for sub, symbol in self._subs.items() if sub not in change.leave}
        now = self._database_time(self._monotonic())
        joined = [sub for sub, symbol in change.join.items() if self._intake.add(sub, symbol, now)]
        self._subs |= {sub: change.join[sub] for sub in joined}
        for subs, message in ((left, provider.unsubscribe_message), (joined, provider.subscribe_message)):
            if subs and not self._reader.send(message(subs)):
                self._lost = Lost(self._monotonic(), "a subscription could not be sent")
        if left or joined:
            log.info("subscriptions changed", actor=self._session.name, joined=joined, left=left)

    def _read(self, arrivals: list[Arrival]) -> Lost | None:
        """Take frames into the intake; return how the connection ended, if it did."""
        try:
            return self._take(arrivals)
        except Exception:
            # Frames that are out of the queue are gone: nothing may be claimed behind them.
            self._lost = Lost(self._monotonic(), "frames were lost to a fault of ours")
            raise

    def _take(self, arrivals: list[Arrival]) -> Lost | None:
        lost: Lost | None = None
        for arrival in arrivals:
            if isinstance(arrival, Frame):
                if self._intake is not None:
                    self._intake.take(arrival.raw, self._database_time(arrival.at))
            elif isinstance(arrival, Connected):
                self._intake = self._new_intake(arrival.at)
            else:
                lost = arrival
        if self._intake is None:
            return lost
        local = self._monotonic()
        self._intake.watermarks(local, self._database_time(local))
        refusal = self._intake.refusal
        # The provider says why before it closes the socket: the reason counts, not the closing.
        return lost if refusal is None else Lost(local, refusal.reason, STATUS.get(refusal.code))

    def _new_intake(self, at: float) -> Intake:
        feed = f"{TICK_DATA.name}/{uuid.uuid4().hex[:16]}"
        log.info("feed connected", feed=feed, markets=len(self._subs))
        return Intake(
            feed,
            self._subs,
            self._clock,
            grace=round(settings.GRACE * SECOND),
            retention=settings.TICK_RETENTION_DAYS * 86_400 * SECOND,
            connected=self._clock.now(self._database_time(at)),
        )

    def _stalled(self) -> Lost | None:
        if self._reader is None or self._monotonic() - self._reader.last_arrival < STALLED:
            return None
        return Lost(self._monotonic(), f"no frame for {STALLED:.0f} s")

    def _lose(self, lost: Lost) -> None:
        """Let the connection go: waiting where the feed had spoken, a failed fetch where it had not."""
        spoke = self._intake is not None and self._intake.has_records
        self._wait = RECONNECT if spoke else min(self._wait * 2, RECONNECT_MOST)
        self._connect_at = self._monotonic() + self._wait
        self._drop()
        log.warning("feed lost", reason=without_secrets(lost.reason), reconnect_in=self._wait)
        if self._session.actor.state == Producer.State.FETCHING_DATA:
            raise LastingFault(lost.reason) if lost.code in LASTING else PlatformFault(lost.reason)
        self._session.waiting(f"the provider: {lost.reason}")

    def _drop(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = self._intake = self._lost = None

    # --- the topic ---

    def _publish(self) -> None:
        """Publish what is unsent, in order; what was not acknowledged stays first in line."""
        if self._intake is not None:
            self._unsent += self._intake.drain()
            self._bury()
        if not self._unsent or self._publisher is None:
            return
        self._fetch()
        self._session.actor.data_ready(Target.FIXED)
        self._session.save()
        try:
            self._publisher.publish(TICK_DATA.name, [Message(record.market, encode(record)) for record in self._unsent])
        except PublishFailed as exc:
            self._unsent = [self._unsent[index] for index in exc.failed]
            raise
        self._note_acknowledged(self._unsent)
        count_trades(self._unsent)
        self._unsent = []
        self._session.actor.publish_success()
        self._session.save()
        self._session.waiting(None)

    def _fetch(self) -> None:
        if self._session.actor.state == Producer.State.IDLE:
            self._session.actor.fetch_data()

    def _bury(self) -> None:
        """Keep what was refused; it stays in memory while the database is away."""
        if self._intake is None or not self._intake.rejected:
            return
        rejected = self._intake.rejected
        log.warning("frames refused", count=len(rejected), reason=rejected[0].reason)
        # One statement: thousands in a row would hold the turn for longer than a heartbeat may stay away.
        dead_letters.bury_all(Letter(TICK_DATA.name, item.market, item.reason, item.raw) for item in rejected)
        rejected.clear()

    def _note_acknowledged(self, records: list[LiveRecord]) -> None:
        for record in records:
            if isinstance(record, Watermark):
                known = self._acknowledged.get(record.feed, 0)
                # Only the feed in hand: an older one is complete with its goodbye.
                self._acknowledged = {record.feed: max(known, record.until)}

    # --- the clocks ---

    def _database_time(self, local: float) -> int:
        return round(local * SECOND) + self._database_ahead

    def _measure_clock(self) -> None:
        with connection.cursor() as cursor:
            before = self._monotonic()
            cursor.execute("select (extract(epoch from clock_timestamp()) * 1000000)::bigint")
            (database,) = cursor.fetchone()
            middle = (before + self._monotonic()) / 2
        self._database_ahead = database - round(middle * SECOND)

    def _recall_clock(self) -> None:
        """Go on from the stored clock at the first start, so that time does not go back."""
        stored = ProviderClock.objects.exclude(clock_offset=None).first()
        if stored and stored.clock_offset is not None and stored.floor and not self._clock.floor:
            offset = round(stored.clock_offset / timedelta(microseconds=1))
            self._clock = ClockEstimate(offset, micros_of(stored.floor))

    def _save_clock(self) -> None:
        if self._clock.measured:
            self._saved_offset = self._clock.offset
            stored_clock.save_clock(timedelta(microseconds=self._clock.offset), moment(self._clock.floor))
