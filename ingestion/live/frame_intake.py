"""What one connection brings, made into the records of the markets on it; no socket is known here.

Two rules: a claim (watermark) never runs ahead of the trades before it, and whatever could hide a missing trade ends
the market's span. Times are microseconds, the provider's unless they are called `at`: those are counted since this
machine's boot (clock_estimate.py), as is `local`, in seconds.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping

import structlog

from datastore.coverage.wrong_claims import WRONG_TIME
from datastore.reference.traits import Proof
from datastore.timeframes.intervals import SECOND_US
from datastore.wording import counted
from ingestion.live.clock_estimate import ClockEstimate, Source
from ingestion.live.connection_channels import ConnectionChannels
from ingestion.live.market_feed import MarketFeed, Rejected
from ingestion.live.timekeeping import Timekeeper
from ingestion.providers.events import (
    CandleSeen,
    Event,
    FeedRefused,
    Garbage,
    LastId,
    ReconnectSoon,
    Stamped,
    Subscribed,
    TradeSeen,
    Unsubscribed,
    VenueStatus,
)
from ingestion.providers.port import Provider
from streaming.ends import EndCode
from streaming.records import LiveRecord
from streaming.refusals import Refusal, RefusalCode
from streaming.topics import TICK_DATA

log = structlog.get_logger(__name__)

MINUTE = 60 * SECOND_US
MAX_EARLY_EVENTS = 10_000  # before the provider's first stamp
MAX_LEAD_US = 60 * SECOND_US  # how far a trade's time may lie ahead of our estimate of the provider's clock
HICCUP_S = 10.0  # local seconds that a provider may pause, which a sped-up one counts many times over
TOO_OLD = Refusal(RefusalCode.TOO_OLD, "older than the trades we keep")


class FrameIntake:
    """The markets of one connection, from its first frame to its last."""

    def __init__(
        self, provider: Provider, channels: Mapping[str, str], time: Timekeeper, *, grace: int, retention: int
    ) -> None:
        """Prepare for these channels (the provider's name -> our symbol).

        grace: how far claims stay behind the newest stamp. retention: trades older than this are not stored.
        """
        self.name = uuid.uuid4().hex[:16]
        self.channels = ConnectionChannels(channels, f"{TICK_DATA.name}/{self.name}", grace, provider.channel_key)
        self.is_open = False
        self.records: list[LiveRecord] = []
        self.rejected: list[Rejected] = []  # for the caller to clear
        self.refusal: FeedRefused | None = None  # of the whole connection
        self.ends_soon: str | None = None  # why the provider is about to end this connection
        self.too_old = 0  # replayed trades from before the retention, counted and dropped
        self.newest_stamp = 0  # of the provider, on this connection
        self._stream = provider.stream()
        self._time, self._grace, self._retention = time, grace, retention
        self._connected_at: int | None = None  # when the socket opened
        self._early: list[tuple[Event, bytes, int]] = []  # what came before the first stamp: event, frame, received at
        self._heartbeat_seen = False
        self._silence = 0.0  # seconds between two stamps in which heartbeats were due and none came
        self._claimed_until = 0  # newest `until` given to all markets
        self._claimed_at = 0.0  # local time of the last watermarks
        self._told_at = 0.0  # local time of the last records of the newest trades
        self._silent_after = provider.traits.stream.silent_after.total_seconds()
        # Where ids prove, a silence hides nothing.
        self._silence_hides = provider.traits.stream.stamps_quiet and Proof.IDS not in provider.traits.proofs

    @property
    def feed(self) -> str:
        """Return what the connection is called in records for the fixed topic."""
        return self.channels.feed

    @property
    def _clock(self) -> ClockEstimate:
        return self._time.provider

    @property
    def has_records(self) -> bool:
        """Return whether any record was made yet."""
        return any(market.n for market in self.channels.feeds.values())

    def open(self, connected: int) -> None:
        """Begin the feeds of all channels; connected: the provider's time when the socket opened."""
        self.is_open = True
        self.channels.open(connected)

    def take_frame(self, raw: bytes, at: int) -> None:
        """Make records of one frame; at: when it was received.

        Nothing has a place in time before the provider's first stamp: what comes earlier waits for it.
        """
        for event in self._stream.read_frame(raw) or (None,):
            # None: the frame says nothing we need, but has come.
            if isinstance(event, TradeSeen) and (self._clock.offset is None or self._is_live(event.sub)):
                self._observe(event.stamp, at, Source.TRADE)
            elif isinstance(event, Stamped | CandleSeen):
                self._observe(event.stamp if isinstance(event, Stamped) else event.at, at, Source.STREAMER)
                self._heartbeat_seen = True
            if not self.is_open and self._clock.offset is not None:
                self.open(self._clock.now(at if self._connected_at is None else self._connected_at))
                early, self._early = self._early, []
                for before in early:
                    self._take_event(before[0], before[1], self._clock.now(before[2]))
            if self.is_open:
                self._take_event(event, raw, self._clock.now(at))
            elif isinstance(event, FeedRefused):
                self._take_refused(event, raw)
            elif event is not None and len(self._early) < MAX_EARLY_EVENTS:
                self._early.append((event, raw, at))
            elif event is not None:
                self.refusal = FeedRefused("", "the provider sends data, but not its time")

    def _is_live(self, sub: str) -> bool:
        """Return whether a trade of this channel is new; the receipt of a replayed one says nothing about the time."""
        market = self.channels.find(sub)
        return market is not None and market.subscribed

    def _take_event(self, event: Event | None, raw: bytes, now: int) -> None:
        if isinstance(event, TradeSeen):
            self._take_trade(event, raw, now)
        elif isinstance(event, Subscribed):
            market = self.channels.find(event.sub)
            if market is not None and not market.subscribed:
                self.records.append(market.open(now + SECOND_US))
                self.channels.complete(market)
        elif isinstance(event, Unsubscribed):
            if not self.channels.confirm_left(event):
                self.refusal = FeedRefused("", f"the provider ended the subscription {event.sub or ''}".rstrip())
        elif isinstance(event, LastId):
            if (market := self.channels.find(event.sub)) is not None:
                market.note_last_id(event)
        elif isinstance(event, ReconnectSoon):
            self.ends_soon = event.reason
        elif isinstance(event, VenueStatus):
            log.log(logging.INFO if event.trading else logging.WARNING, "venue status", word=event.word)
        elif isinstance(event, Garbage):
            self._take_garbage(event, raw, now)
        elif isinstance(event, FeedRefused):
            self._take_refused(event, raw)

    def _observe(self, stamp: int | None, at: int, source: Source) -> None:
        jumps = self._clock.jumps
        if stamp is None or not self._clock.observe(stamp, at, source):
            return
        if self._clock.jumps == jumps:
            quiet = (stamp - self.newest_stamp) / SECOND_US if self.newest_stamp else 0.0
            if self._silence_hides and quiet >= max(self._silent_after, HICCUP_S * self._clock.speed):
                self._silence = quiet
            self.newest_stamp = max(self.newest_stamp, stamp)
            return
        # The time was wrong. Where it was behind, spans begin before their subscription; where it was ahead, they may
        # claim what has not happened yet. Both end, and what they claimed beyond the new time is taken back where it is
        # stored (datastore/coverage/wrong_claims.py).
        self.newest_stamp, self._claimed_until = stamp, 0
        for market in self.channels.feeds.values():
            self._end(market, WRONG_TIME, self._clock.now(at), EndCode.WRONG_TIME)

    def _take_trade(self, seen: TradeSeen, raw: bytes, now: int) -> None:
        market = self.channels.find(seen.sub)
        if market is None:
            if not self.channels.is_leaving(seen.sub):
                unknown = Refusal(RefusalCode.UNKNOWN_MARKET, f"unknown market {seen.sub}")
                self.rejected.append(Rejected(None, unknown, raw))
            return
        market.note_number(seen, self.newest_stamp)
        if seen.ts > now + MAX_LEAD_US:
            lead = f"{(seen.ts - now) / SECOND_US:.0f} s ahead of the provider's clock"
            self._reject(market, Refusal(RefusalCode.AHEAD, lead), raw, now)
        elif seen.ts >= now - self._retention:
            # A stamp that is doubted may be right: too early a receipt could prove a false bridge.
            self.records.append(market.trade(seen, received_at=max(now, seen.stamp or 0)))
        elif not market.subscribed:
            self.too_old += 1
        else:
            self.rejected.append(Rejected(market.market, TOO_OLD, raw))
            # It lies where the next claim would, so it is no late trade: the clock by which it is old must be wrong.
            if market.start is not None and seen.ts >= (market.stop or market.start):
                self._end(market, f"a trade was refused: {TOO_OLD.detail}", now, EndCode.REFUSED)

    def _take_garbage(self, event: Garbage, raw: bytes, now: int) -> None:
        market = self.channels.find(event.sub)
        if market:
            market.note_number(event, self.newest_stamp)
            self._reject(market, Refusal(event.code, event.reason), raw, now)
            return
        self.rejected.append(Rejected(None, Refusal(event.code, event.reason), raw))
        if event.sub is None:  # it may have been a trade of any market of this connection
            for each in self.channels.feeds.values():
                self._end(each, f"an unreadable frame: {event.reason}", now, EndCode.REFUSED)

    def _take_refused(self, event: FeedRefused, raw: bytes) -> None:
        if found := self.channels.refuse(event, self._time.monotonic()):
            symbol, reason, is_news = found
            if is_news:
                self.rejected.append(Rejected(symbol, Refusal(RefusalCode.SUBSCRIPTION, reason), raw))
        elif not self.channels.was_left(event):
            self.refusal = event

    def claim(self, local: float, at: int) -> None:
        """Claim what the frames so far prove: with each heartbeat, at each minute, every second for a busy market.

        Nothing while the provider's time is no more than one stamp. What the provider said of the newest trades goes
        along, once a second.
        """
        if local - self._told_at >= 1:
            self._told_at = local
            self.records += [said for market in self.channels.feeds.values() if (said := market.last_trade())]
        now = self._clock.now(at)
        if not self._clock.confirmed:
            return
        until = min(self.newest_stamp, now) - self._grace
        all_markets = self._heartbeat_seen or until // MINUTE > self._claimed_until // MINUTE
        if until <= 0 or not (all_markets or local - self._claimed_at >= 1):
            return
        for market in self.channels.feeds.values():
            # What the number would have claimed is taken back only now: it may have come late, as numbers do.
            if missing := market.sequence.overdue(self.newest_stamp - self._grace):
                reason = f"the provider's numbering lacks {counted(missing, 'trade')}"
                self._end(market, reason, now, EndCode.NUMBERS)
            if (all_markets or market.traded) and (mark := market.claim(until, self.newest_stamp)):
                self.records.append(mark)
        self._heartbeat_seen, self._claimed_at = False, local
        self._claimed_until = max(self._claimed_until, until)

    def claim_start(self, sub: str, at: int) -> int | None:
        """Return the first time that a route begun now may claim; None while the channel is not subscribed.

        Nothing that came before lies after that time, whatever its own stamp says: it is not carried.
        """
        market = self.channels.find(sub)
        if market is None or not market.subscribed:
            return None
        return max(self._clock.now(at) + SECOND_US, market.youngest + 1, market.start or 0)

    def end_spans(self, reason: str, code: EndCode = EndCode.OTHER) -> None:
        """End every span: nothing more arrives."""
        for market in self.channels.feeds.values():
            self._end(market, reason, self._clock.now(self._time.local_now()), code)

    def _end(self, market: MarketFeed, reason: str, now: int, code: EndCode) -> None:
        if closed := market.end(reason, self.newest_stamp, now, code):
            self.records.append(closed)

    def _reject(self, market: MarketFeed, refusal: Refusal, raw: bytes, now: int) -> None:
        self.rejected.append(Rejected(market.market, refusal, raw))
        self._end(market, f"a trade was refused: {refusal.detail}", now, EndCode.REFUSED)

    def drain(self) -> list[LiveRecord]:
        """Return the records made since the last call."""
        records, self.records = self.records, []
        return records

    def join(self, sub: str, symbol: str, at: int) -> bool:
        """Add a market about to be subscribed to; False if it is here, or its last subscription has not ended yet."""
        return self.channels.join(sub, symbol, self._clock.now(at))

    def leave(self, sub: str) -> bool:
        """Remove a market: its span ends, and what is still on its way is dropped. False if it is not here."""
        market = self.channels.find(sub)
        if market is None:
            return False
        self._end(market, "no longer followed", self._clock.now(self._time.local_now()), EndCode.LEFT)
        self.channels.leave(sub)
        return True
