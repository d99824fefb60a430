"""One connection to the provider: its socket, and the records of the markets on it.

It knows markets, not topics: each market is a feed of numbered records, which the caller routes and publishes.
Two rules: a claim (watermark) never runs ahead of the trades before it, and whatever could hide a missing trade ends
the market's span. Times are microseconds, the provider's unless they are called `at`: those are counted since this
machine's boot (clock_estimate.py), as is `local`, in seconds.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence, Set

import structlog
from django.conf import settings

from datastore.coverage.wrong_claims import WRONG_TIME
from datastore.reference.traits import Proof
from datastore.timeframes.intervals import SECOND_US
from datastore.wording import counted
from ingestion.live.clock_estimate import ClockEstimate, Source
from ingestion.live.market_feed import MarketFeed, Rejected
from ingestion.live.socket_reader import Arrival, Connected, Frame, SocketLost, SocketReader
from ingestion.live.subscriptions import channel_change
from ingestion.live.timekeeping import Timekeeper, micros_at, read_date
from ingestion.provider_access import STREAM, access_of
from ingestion.providers.port import (
    CandleSeen,
    Event,
    FeedRefused,
    Garbage,
    LastId,
    Provider,
    ReconnectSoon,
    Stamped,
    Subscribed,
    TradeSeen,
    Unsubscribed,
    VenueStatus,
    why,
)
from streaming.ends import EndCode
from streaming.records import LiveRecord
from streaming.refusals import Refusal, RefusalCode
from streaming.topics import TICK_DATA

log = structlog.get_logger(__name__)

MINUTE = 60 * SECOND_US
MAX_EARLY_EVENTS = 10_000  # before the provider's first stamp
MAX_LEAD_US = 60 * SECOND_US  # how far a trade's time may lie ahead of our estimate of the provider's clock
HICCUP_S = 10.0  # local seconds that a provider may pause, which a sped-up one counts many times over
RETRY_REFUSED_AFTER_S = 300.0  # local seconds until a refused channel is asked for again
REFUSED_REASON = "the provider refuses the subscription"
TOO_OLD = Refusal(RefusalCode.TOO_OLD, "older than the trades we keep")


class MarketConnection:
    """One socket from opening to loss; `lost` says why it was lost."""

    def __init__(
        self, provider: Provider, channels: Mapping[str, str], time: Timekeeper, *, grace: int, retention: int
    ) -> None:
        """Prepare a connection to these channels (the provider's name -> our symbol).

        grace: how far claims stay behind the newest stamp. retention: trades older than this are not stored.
        """
        self.name = uuid.uuid4().hex[:16]
        self.feed = f"{TICK_DATA.name}/{self.name}"
        self.is_open = False
        self.lost: SocketLost | None = None
        self.records: list[LiveRecord] = []
        self.rejected: list[Rejected] = []  # for the caller to clear, as is the next one
        self.refused: list[tuple[str, str]] = []  # markets whose subscription was refused just now
        self.refusals: dict[str, str] = {}  # why markets are refused, until a subscription of theirs is complete
        self.refusal: FeedRefused | None = None  # of the whole connection
        self.too_old = 0  # replayed trades from before the retention, counted and dropped
        self.newest_stamp = 0  # of the provider, on this connection
        self.channels = dict(channels)  # asked for, the refused ones included
        self._markets: dict[str, MarketFeed] = {}  # by what a channel is found by
        self._leaving: set[str] = set()  # channels whose end the provider has not confirmed
        self._retry_at: dict[str, float] = {}  # local time, by market that was refused
        self._left: set[str] = set()  # channels that were ever left
        self._numbers: dict[str, int] = {}  # of the newest record of a market that has left, by symbol
        self._grace, self._retention = grace, retention
        self._heartbeat_seen = False
        self._silence = 0.0  # seconds between two stamps in which heartbeats were due and none came
        self._claimed_until = 0  # newest `until` given to all markets
        self._claimed_at = 0.0  # local time of the last watermarks
        self._told_at = 0.0  # local time of the last records of the newest trades
        self._time = time
        self._connected_at: int | None = None  # when the socket opened
        self._stream, self._key_of = provider.stream(), provider.channel_key
        traits = provider.traits
        self._silent_after = traits.stream.silent_after.total_seconds()
        keep_alive = traits.stream.keep_alive
        self._keep_alive = keep_alive.total_seconds() if keep_alive else None
        self._keep_alive_at = 0.0  # local time of the next one
        # Where ids prove, a silence hides nothing; and not every provider stamps its time while nothing is traded.
        self._silence_hides = Proof.IDS not in traits.proofs
        self._early: list[tuple[Event, bytes, int]] = []  # what came before the first stamp: event, frame, received at
        self.ends_soon: str | None = None  # why the provider is about to end this connection
        access, subscribe = access_of(provider, STREAM), self._stream.subscribe(sorted(self.channels))
        self._reader = SocketReader(
            access.url, access.headers, subscribe, settings.READER_QUEUE, traits.limits.messages
        )

    @property
    def _clock(self) -> ClockEstimate:
        return self._time.provider

    @property
    def has_records(self) -> bool:
        """Return whether any record was made yet."""
        return any(market.n for market in self._markets.values())

    @property
    def has_markets(self) -> bool:
        """Return whether any market is subscribed to, or about to be."""
        return bool(self._markets)

    @property
    def subscribed(self) -> set[str]:
        """Return the markets whose subscription is complete."""
        return {market.market for market in self._markets.values() if market.subscribed}

    def start(self) -> None:
        """Connect and subscribe in the background."""
        self._reader.start()

    def close(self) -> None:
        """Close the socket."""
        self._reader.close()

    def finish(self, limit: int, reason: str, code: EndCode) -> None:
        """Close the socket, read up to `limit` frames that had arrived, and end every span for this reason."""
        self._reader.close()
        self.read([arrival for arrival in self._reader.take(0, limit) if not isinstance(arrival, SocketLost)])
        self.end_spans(reason, code)

    def wait(self, timeout: float, limit: int) -> list[Arrival]:
        """Return up to `limit` arrivals, waiting at most `timeout` seconds for the first."""
        return self._reader.take(timeout, limit)

    def read(self, arrivals: list[Arrival]) -> None:
        """Make records of what arrived; if the connection is lost, its spans end."""
        if self.lost is None:  # nothing is believed after a loss
            try:
                self.lost = self._read(arrivals)
            except Exception:
                # Frames that are out of the queue are gone: nothing may be claimed after them.
                self.lost = SocketLost(
                    self._time.monotonic(), "frames were lost to an internal fault", end=EndCode.INTERNAL
                )
                raise
        if self.lost is not None:
            self.end_spans(self.lost.reason, self.lost.end)

    def _read(self, arrivals: list[Arrival]) -> SocketLost | None:
        lost: SocketLost | None = None
        for arrival in arrivals:
            if isinstance(arrival, Frame):
                self.take_frame(arrival.raw, micros_at(arrival.at))
            elif isinstance(arrival, Connected):
                self._connect(arrival)
            else:
                lost = arrival
        local = self._time.monotonic()
        if self.is_open and self._keep_alive is not None and local >= self._keep_alive_at:
            self._keep_alive_at = local + self._keep_alive
            if (ping := self._stream.keep_alive()) is not None and not self._reader.send(ping):
                return SocketLost(local, "a sign of life could not be sent")
        if self._silence:
            # Nothing is claimed of it: the socket is ordered, so what would have come within it was lost.
            return SocketLost(local, f"no frame for {self._silence:.0f} s of the provider's time", end=EndCode.SILENT)
        if self.is_open:
            self.claim(local, micros_at(local))
        if self.refusal is not None:
            # The provider says why before it closes the socket: the reason counts, not the closing.
            return SocketLost(local, why(self.refusal), self.refusal.http_status, EndCode.SUBSCRIPTION)
        if lost is None and local - self._reader.last_arrival >= self._silent_after:
            return SocketLost(local, f"no frame for {self._silent_after:.0f} s", end=EndCode.SILENT)
        if lost is None and self._clock.is_doubtful(micros_at(local)):
            contradicted = "the provider's stamps contradict the time that it gave before"
            return SocketLost(local, contradicted, end=EndCode.WRONG_TIME)
        return lost

    def _connect(self, arrival: Connected) -> None:
        self._connected_at = micros_at(arrival.at)
        self._clock.connected()
        if date := read_date(arrival.date):
            self._clock.observe(date, self._connected_at, Source.HANDSHAKE)

    def abandon(self, reason: str, code: EndCode) -> None:
        """Lose the connection on purpose: nothing more is read, and the next read() ends its spans for this reason."""
        self.lost = SocketLost(self._time.monotonic(), reason, end=code)
        self._reader.close()

    def open(self, connected: int) -> None:
        """Begin the feeds of all channels; connected: the provider's time when the socket opened."""
        self.is_open = True
        self._markets = {
            self._key_of(sub): MarketFeed(symbol, self.feed, connected, self._grace)
            for sub, symbol in self.channels.items()
        }

    def take_frame(self, raw: bytes, at: int) -> None:
        """Make records of one frame; at: when it was received.

        Nothing has a place in time before the provider's first stamp: what comes earlier waits for it.
        """
        for event in self._stream.read_frame(raw) or (None,):
            self._place(event, raw, at)

    def _place(self, event: Event | None, raw: bytes, at: int) -> None:
        """Take an event at its place in time; None: the frame says nothing we need, but has come."""
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
        market = self._markets.get(self._key_of(sub))
        return market is not None and market.subscribed

    def _take_event(self, event: Event | None, raw: bytes, now: int) -> None:
        if isinstance(event, TradeSeen):
            self._take_trade(event, raw, now)
        elif isinstance(event, Subscribed):
            market = self._markets.get(self._key_of(event.sub))
            if market is not None and not market.subscribed:
                self.records.append(market.open(now + SECOND_US))
                self.refusals.pop(market.market, None)
        elif isinstance(event, Unsubscribed):
            key = self._key_of(event.sub) if event.sub else None
            if key in self._leaving:
                self._leaving.discard(key)
            elif key is not None or not self._left:  # we did not ask for it, and now lack its trades
                self.refusal = FeedRefused("", f"the provider ended the subscription {event.sub or ''}".rstrip())
        elif isinstance(event, LastId):
            if (market := self._markets.get(self._key_of(event.sub))) is not None:
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
        for market in self._markets.values():
            self._end(market, WRONG_TIME, self._clock.now(at), EndCode.WRONG_TIME)

    def _take_trade(self, seen: TradeSeen, raw: bytes, now: int) -> None:
        market = self._markets.get(self._key_of(seen.sub))
        if market is None:
            if self._key_of(seen.sub) not in self._leaving:
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
        market = self._markets.get(self._key_of(event.sub)) if event.sub else None
        if market:
            market.note_number(event, self.newest_stamp)
            self._reject(market, Refusal(event.code, event.reason), raw, now)
            return
        self.rejected.append(Rejected(None, Refusal(event.code, event.reason), raw))
        if event.sub is None:  # it may have been a trade of any market of this connection
            for each in self._markets.values():
                self._end(each, f"an unreadable frame: {event.reason}", now, EndCode.REFUSED)

    def _take_refused(self, event: FeedRefused, raw: bytes) -> None:
        key = self._key_of(event.sub) if event.sub else ""
        market = self._markets.pop(key, None)
        if market is not None:
            symbol, reason = market.market, f"{REFUSED_REASON}: {why(event)}"
            self._numbers[symbol] = market.n
            if self.refusals.get(symbol) != reason:  # one dead letter, however often it is tried again
                self.rejected.append(Rejected(symbol, Refusal(RefusalCode.SUBSCRIPTION, reason), raw))
            self.refusals[symbol] = reason
            self._retry_at[symbol] = self._time.monotonic() + RETRY_REFUSED_AFTER_S
            self.refused.append((symbol, reason))
        elif key in self._left:
            self._leaving.discard(key)  # it was not subscribed to, so there is nothing to leave
        else:
            self.refusal = event

    def claim(self, local: float, at: int) -> None:
        """Claim what the frames so far prove: with each heartbeat, at each minute, every second for a busy market.

        Nothing while the provider's time is no more than one stamp. What the provider said of the newest trades goes
        along, once a second.
        """
        if local - self._told_at >= 1:
            self._told_at = local
            self.records += [said for market in self._markets.values() if (said := market.last_trade())]
        now = self._clock.now(at)
        if not self._clock.confirmed:
            return
        until = min(self.newest_stamp, now) - self._grace
        all_markets = self._heartbeat_seen or until // MINUTE > self._claimed_until // MINUTE
        if until <= 0 or not (all_markets or local - self._claimed_at >= 1):
            return
        for market in self._markets.values():
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
        market = self._markets.get(self._key_of(sub))
        if market is None or not market.subscribed:
            return None
        return max(self._clock.now(at) + SECOND_US, market.youngest + 1, market.start or 0)

    def end_spans(self, reason: str, code: EndCode = EndCode.OTHER) -> None:
        """End every span: nothing more arrives."""
        for market in self._markets.values():
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

    def change_channels(self, wanted: dict[str, str], retry: Set[str]) -> tuple[list[str], list[str]]:
        """Leave and join channels on the open socket; return the markets that were left and that joined.

        retry: markets whose channel is tried again at once if it was refused; the others' turn comes after a while.
        """
        local, still_wanted = self._time.monotonic(), set(wanted.values())
        self.refusals = {symbol: reason for symbol, reason in self.refusals.items() if symbol in still_wanted}
        due = retry | {symbol for symbol, at in self._retry_at.items() if local >= at}
        self.channels = {
            sub: symbol
            for sub, symbol in self.channels.items()
            if symbol not in due or self._key_of(sub) in self._markets
        }
        change = channel_change(self.channels, wanted, self._key_of)
        left = [self.channels.pop(sub) for sub in change.leave]
        to_leave = [sub for sub in change.leave if self.leave(sub)]
        now = self._time.local_now()
        joined = {sub: symbol for sub, symbol in change.join.items() if self.join(sub, symbol, now)}
        self.channels |= joined
        sent = not to_leave or self._send(self._stream.unsubscribe(to_leave))
        sent &= not joined or self._send(self._stream.subscribe(list(joined)))
        if not sent:
            self.lost = SocketLost(self._time.monotonic(), "a subscription could not be sent")
        if to_leave or joined:
            log.info("subscriptions changed", joined=list(joined), left=to_leave)
        return left, list(joined.values())

    def _send(self, messages: Sequence[bytes]) -> bool:
        return all(self._reader.send(message) for message in messages)

    def join(self, sub: str, symbol: str, at: int) -> bool:
        """Add a market about to be subscribed to; False if it is here, or its last subscription has not ended yet."""
        key = self._key_of(sub)
        if key in self._markets or key in self._leaving:
            return False
        # A trade that was received before this moment came by an earlier subscription.
        market = MarketFeed(symbol, self.feed, self._clock.now(at), self._grace)
        market.n = self._numbers.pop(symbol, 0)
        self._markets[key] = market
        return True

    def leave(self, sub: str) -> bool:
        """Remove a market: its span ends, and what is still on its way is dropped. False if it is not here."""
        key = self._key_of(sub)
        market = self._markets.pop(key, None)
        if market is None:
            return False
        self._end(market, "no longer followed", self._clock.now(self._time.local_now()), EndCode.LEFT)
        self._numbers[market.market] = market.n
        self._leaving.add(key)
        self._left.add(key)
        return True
