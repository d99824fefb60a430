"""One connection to the provider: its socket, the intake of its frames, and the routes of its records."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import structlog
from django.conf import settings

from ingestion.live.clock_estimate import SECOND
from ingestion.live.frame_intake import REFUSED, FrameIntake
from ingestion.live.market_feed import Rejected
from ingestion.live.socket_reader import Arrival, Connected, Frame, SocketLost, SocketReader
from ingestion.live.subscriptions import Wanted, change_of
from ingestion.live.timekeeping import Timekeeper
from ingestion.live.topic_router import TopicRouter
from ingestion.providers.cryptocompare import stream as provider
from streaming.records import LiveRecord
from streaming.topics import TICK_DATA

log = structlog.get_logger(__name__)

STALLED = 70.0  # local seconds without any frame: two heartbeats of 30 s have been missed
# The streamer's refusals as HTTP's: 500 is its word for a request that it does not understand.
STATUS = {provider.UNAUTHORIZED: 401, provider.LIMITED: 429, provider.PROBLEM: 400}


class MarketConnection:
    """Own one socket, from its opening until it is lost; `lost` says how that came."""

    def __init__(self, wanted: Wanted, time: Timekeeper) -> None:
        """Connect in the background and subscribe to what is wanted."""
        self.name = uuid.uuid4().hex[:16]
        self.lost: SocketLost | None = None
        self.refused: dict[str, str] = {}  # dynamic topic -> why its market is not to be had: the caller's to clear
        self._wanted, self._time = wanted, time
        self._channels = dict(wanted.channels)
        self._intake: FrameIntake | None = None
        self._routes = TopicRouter(self.name)
        message = provider.subscribe_message(sorted(self._channels))
        url = settings.CRYPTOCOMPARE_WS_URL
        self._reader = SocketReader(url, settings.CRYPTOCOMPARE_API_KEY, message, settings.READER_QUEUE)
        self._reader.start()

    @property
    def has_spoken(self) -> bool:
        """Tell whether any record came of it yet."""
        return self._intake is not None and self._intake.has_records

    def carries(self, market: str, topic: str) -> bool:
        """Tell whether a market's records go to a topic."""
        return topic in self._routes.topics_of(market)

    def home_of(self, market: str | None) -> str:
        """Return the topic to name where something of a market was refused."""
        topics = sorted(topic for of, topic in self._wanted.ways if of == market)
        return TICK_DATA.name if TICK_DATA.name in topics or not topics else topics[0]

    def topics(self) -> set[str]:
        """Return the topics that get anything."""
        return {topic for _, topic in self._routes.held}

    def markets_of(self, topic: str) -> list[str]:
        """Return the markets whose records go to a topic."""
        return self._routes.markets_of(topic)

    def close(self) -> None:
        """Close the socket."""
        self._reader.close()

    # --- what arrives ---

    def wait(self, timeout: float, limit: int) -> list[Arrival]:
        """Return up to `limit` arrivals, waiting at most so many seconds for the first."""
        return self._reader.take(timeout, limit)

    def read(self, arrivals: list[Arrival]) -> None:
        """Make records of what arrived; where the connection is lost, its spans end."""
        if self.lost is None:  # nothing is believed behind a loss
            try:
                self.lost = self._take(arrivals) or self._stalled()
            except Exception:
                # Frames that are out of the queue are gone: nothing may be claimed behind them.
                self.lost = SocketLost(self._time.monotonic(), "frames were lost to a fault of ours")
                raise
        if self.lost is not None:
            self._end(self.lost.reason)

    def finish(self, limit: int, reason: str) -> None:
        """Close the socket, read up to `limit` frames that had arrived, and end every span for this reason."""
        self._reader.close()
        self.read([arrival for arrival in self._reader.take(0, limit) if not isinstance(arrival, SocketLost)])
        self._end(reason)

    def _end(self, reason: str) -> None:
        if self._intake is not None:
            self._intake.close(reason)

    def _take(self, arrivals: list[Arrival]) -> SocketLost | None:
        lost: SocketLost | None = None
        for arrival in arrivals:
            if isinstance(arrival, Frame):
                if self._intake is not None:
                    self._intake.take(arrival.raw, self._time.database_time(arrival.at))
            elif isinstance(arrival, Connected):
                self._intake = self._begin(arrival.at)
            else:
                lost = arrival
        if self._intake is None:
            return lost
        local = self._time.monotonic()
        self._intake.watermarks(local, self._time.database_time(local))
        self._note_refused(self._intake)
        refusal = self._intake.refusal
        # The provider says why before it closes the socket: the reason counts, not the closing.
        return lost if refusal is None else SocketLost(local, refusal.reason, STATUS.get(refusal.code))

    def _begin(self, at: float) -> FrameIntake:
        for symbol in self._channels.values():
            self._begin_routes(symbol)
        feed = f"{TICK_DATA.name}/{self.name}"
        log.info("feed connected", feed=feed, markets=len(self._channels), routes=len(self._routes.held))
        return FrameIntake(
            feed,
            self._channels,
            self._time.provider,
            grace=round(settings.GRACE * SECOND),
            retention=settings.TICK_RETENTION_DAYS * 86_400 * SECOND,
            connected=self._time.provider.now(self._time.database_time(at)),
        )

    def _begin_routes(self, symbol: str) -> None:
        """Carry a market to where it is wanted, from its subscription on."""
        for market, topic in self._wanted.ways:
            if market == symbol:
                self._routes.begin(market, topic)

    def _stalled(self) -> SocketLost | None:
        now = self._time.monotonic()
        return SocketLost(now, f"no frame for {STALLED:.0f} s") if now - self._reader.last_arrival >= STALLED else None

    def _note_refused(self, intake: FrameIntake) -> None:
        """End the routes of refused markets; one that is followed is a refusal of the connection if it was the last."""
        for symbol, refusal in intake.refused:
            if self.carries(symbol, TICK_DATA.name) and not intake.has_markets:
                intake.refusal = refusal
            for topic in self._routes.topics_of(symbol):
                self._routes.end(symbol, topic, refusal.reason)
                if topic != TICK_DATA.name:
                    self.refused[topic] = f"{REFUSED}: {refusal.reason}"
        intake.refused.clear()

    # --- what it is to carry ---

    def follow(self, wanted: Wanted) -> None:
        """Join and leave channels and routes; the connection stays, and so do other spans."""
        self._wanted = wanted
        if self._intake is None:
            return
        self._hand_on(self._intake)  # what was received before is carried by the routes that were there
        for market, topic in self._routes.held - wanted.ways:
            self._routes.end(market, topic, "no longer followed" if topic == TICK_DATA.name else "the stream has ended")
        if self.lost is None:
            self._change_channels(self._intake)
            self._open_routes(self._intake)

    def _change_channels(self, intake: FrameIntake) -> None:
        self._retry_refused(intake)
        change = change_of(self._channels, self._wanted.channels)
        left = [sub for sub in change.leave if self._leave(intake, sub)]
        now = self._time.database_time()
        joined = [sub for sub, symbol in change.join.items() if intake.add(sub, symbol, now)]
        for sub in joined:
            self._channels[sub] = change.join[sub]
            self._begin_routes(change.join[sub])
        self._tell(left, provider.unsubscribe_message)
        self._tell(joined, provider.subscribe_message)
        if left or joined:
            log.info("subscriptions changed", joined=joined, left=left)

    def _leave(self, intake: FrameIntake, sub: str) -> bool:
        """Let a channel go; False where there is nothing to unsubscribe from."""
        symbol = self._channels.pop(sub)
        for topic in self._routes.topics_of(symbol):  # its channel has another name now: what follows begins anew
            self._routes.end(symbol, topic, "the market's channel changed")
        return intake.remove(sub)

    def _retry_refused(self, intake: FrameIntake) -> None:
        """Let go of refused channels that a new stream asks for: they are worth another try."""
        asked = {market for market, topic in self._wanted.ways - self._routes.held if topic != TICK_DATA.name}
        self._channels = {
            sub: symbol for sub, symbol in self._channels.items() if symbol not in asked or intake.holds(sub)
        }

    def _tell(self, subs: list[str], message: Callable[[list[str]], bytes]) -> None:
        if subs and not self._reader.send(message(subs)):
            self.lost = SocketLost(self._time.monotonic(), "a subscription could not be sent")

    def _open_routes(self, intake: FrameIntake) -> None:
        """Begin what is wanted of markets that are subscribed to already; the others' turn comes when they are."""
        now, channels = self._time.database_time(), self._wanted.channel_of
        for market, topic in sorted(self._wanted.ways - self._routes.held):
            start = intake.opening(channels[market], now)
            if start is not None:
                self._routes.begin(market, topic, start)

    # --- what came of it ---

    def drain(self) -> tuple[dict[str, list[LiveRecord]], list[Rejected]]:
        """Hand over the records made since the last call, by topic, and what was refused (the caller's to clear)."""
        if self._intake is None:
            return {}, []
        self._hand_on(self._intake)
        return self._routes.drain(), self._intake.rejected

    def _hand_on(self, intake: FrameIntake) -> None:
        self._routes.send(intake.drain())
