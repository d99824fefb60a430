"""One connection to the provider: its socket, and the records of the markets on it.

It knows markets, not topics: each market is a feed of numbered records, which the caller routes and publishes.
Two rules: a claim (watermark) never runs ahead of the trades before it, and whatever could hide a missing trade ends
the market's span. Times are microseconds; `local` is the monotonic clock in seconds.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Set

import structlog
from django.conf import settings

from datastore.timeframes.intervals import SECOND_US
from ingestion.live.clock_estimate import SUSPICIOUS_LEAD_US, ClockEstimate
from ingestion.live.market_feed import MarketFeed, Rejected
from ingestion.live.socket_reader import Arrival, Connected, Frame, SocketLost, SocketReader
from ingestion.live.subscriptions import channel_change
from ingestion.live.timekeeping import Timekeeper
from ingestion.providers.cryptocompare import stream as provider
from streaming.records import LiveRecord
from streaming.topics import TICK_DATA

log = structlog.get_logger(__name__)

MINUTE = 60 * SECOND_US
MAX_LEAD_US = 60 * SECOND_US  # how far a trade's time may lie ahead of our estimate of the provider's clock
STALLED_AFTER_S = 70.0  # local seconds without any frame: two heartbeats of 30 s were missed
REFUSED_REASON = "the provider refuses the subscription"
TOO_OLD_REASON = "older than the trades we keep"


class MarketConnection:
    """One socket from opening to loss; `lost` says why it was lost."""

    def __init__(self, channels: Mapping[str, str], time: Timekeeper, *, grace: int, retention: int) -> None:
        """Prepare a connection to these channels (the provider's name -> our symbol).

        grace: how far claims stay behind the newest stamp. retention: trades older than this are not stored.
        """
        self.name = uuid.uuid4().hex[:16]
        self.feed = f"{TICK_DATA.name}/{self.name}"
        self.is_open = False
        self.lost: SocketLost | None = None
        self.records: list[LiveRecord] = []
        self.rejected: list[Rejected] = []  # for the caller to clear, as is the next one
        self.refused: list[tuple[str, provider.Refused]] = []  # markets whose subscription was refused
        self.refusal: provider.Refused | None = None  # of the whole connection
        self.too_old = 0  # replayed trades from before the retention, counted and dropped
        self.newest_stamp = 0  # of the provider, on this connection
        self.channels = dict(channels)  # asked for, the refused ones included
        self._markets: dict[str, MarketFeed] = {}  # by lower-case channel
        self._leaving: set[str] = set()  # channels whose end the provider has not confirmed
        self._left: set[str] = set()  # channels that were ever left
        self._numbers: dict[str, int] = {}  # of the newest record of a market that has left, by symbol
        self._grace, self._retention = grace, retention
        self._heartbeat_seen = False
        self._claimed_until = 0  # newest `until` given to all markets
        self._claimed_at = 0.0  # local time of the last watermarks
        self._time = time
        self._clock: ClockEstimate = time.provider
        subscribe = provider.subscribe_message(sorted(self.channels))
        url = settings.CRYPTOCOMPARE_WS_URL
        self._reader = SocketReader(url, settings.CRYPTOCOMPARE_API_KEY, subscribe, settings.READER_QUEUE)

    @property
    def has_records(self) -> bool:
        """Return whether any record was made yet."""
        return any(market.n for market in self._markets.values())

    @property
    def has_markets(self) -> bool:
        """Return whether any market is subscribed to, or about to be."""
        return bool(self._markets)

    def start(self) -> None:
        """Connect and subscribe in the background."""
        self._reader.start()

    def close(self) -> None:
        """Close the socket."""
        self._reader.close()

    def finish(self, limit: int, reason: str) -> None:
        """Close the socket, read up to `limit` frames that had arrived, and end every span for this reason."""
        self._reader.close()
        self.read([arrival for arrival in self._reader.take(0, limit) if not isinstance(arrival, SocketLost)])
        self.end_spans(reason)

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
                self.lost = SocketLost(self._time.monotonic(), "frames were lost to an internal fault")
                raise
        if self.lost is not None:
            self.end_spans(self.lost.reason)

    def _read(self, arrivals: list[Arrival]) -> SocketLost | None:
        lost: SocketLost | None = None
        for arrival in arrivals:
            if isinstance(arrival, Frame):
                if self.is_open:
                    self.take_frame(arrival.raw, self._time.database_time(arrival.at))
            elif isinstance(arrival, Connected):
                self.open(self._time.provider.now(self._time.database_time(arrival.at)))
            else:
                lost = arrival
        local = self._time.monotonic()
        if self.is_open:
            self.claim(local, self._time.database_time(local))
        if self.refusal is not None:
            # The provider says why before it closes the socket: the reason counts, not the closing.
            return SocketLost(local, self.refusal.reason, self.refusal.http_status)
        if lost is None and local - self._reader.last_arrival >= STALLED_AFTER_S:
            return SocketLost(local, f"no frame for {STALLED_AFTER_S:.0f} s")
        return lost

    def abandon(self, reason: str) -> None:
        """Lose the connection on purpose: nothing more is read, and the next read() ends its spans for this reason."""
        self.lost = SocketLost(self._time.monotonic(), reason)
        self._reader.close()

    def refuse(self, refusal: provider.Refused) -> None:
        """Take the refusal of the last market for one of the whole connection."""
        self.lost = SocketLost(self._time.monotonic(), refusal.reason, refusal.http_status)

    def open(self, connected: int) -> None:
        """Begin the feeds of all channels; connected: the provider's time when the socket opened."""
        self.is_open = True
        self._clock = self._time.provider
        self._markets = {sub.lower(): MarketFeed(sym, self.feed, connected) for sub, sym in self.channels.items()}

    def take_frame(self, raw: bytes, database_at: int) -> None:
        """Make records of one frame, received at this database time."""
        event = provider.read_frame(raw)
        if isinstance(event, provider.TradeSeen):
            self._observe(event.stamp, database_at)
            self._take_trade(event, raw, self._clock.now(database_at))
        elif isinstance(event, provider.Stamped):
            self._observe(event.stamp, database_at)
            self._heartbeat_seen = True
        elif isinstance(event, provider.Subscribed):
            market = self._markets.get(event.sub.lower())
            if market is not None and not market.subscribed:
                self.records.append(market.open(self._clock.now(database_at) + SECOND_US))
        elif isinstance(event, provider.Unsubscribed):
            key = event.sub.lower() if event.sub else None
            if key in self._leaving:
                self._leaving.discard(key)
            elif key is not None or not self._left:  # we did not ask for it, and now lack its trades
                self.refusal = provider.Refused("", f"the provider ended the subscription {event.sub or ''}".rstrip())
        elif isinstance(event, provider.Garbage):
            self._take_garbage(event, raw, self._clock.now(database_at))
        elif isinstance(event, provider.Refused):
            self._take_refused(event, raw)

    def _observe(self, stamp: int | None, database_at: int) -> None:
        before = self._clock.offset
        if stamp is None or not self._clock.observe(stamp, database_at):
            return
        self.newest_stamp = max(self.newest_stamp, stamp)
        if self._clock.offset > before + SUSPICIOUS_LEAD_US:
            # A clock far behind the provider's set starts that lie before the subscription: take them back.
            now = self._clock.now(database_at)
            for market in self._markets.values():
                if market.stop is None:
                    self._end(market, "the clock was found to be behind the provider's", now)

    def _take_trade(self, seen: provider.TradeSeen, raw: bytes, now: int) -> None:
        market = self._markets.get(seen.sub.lower())
        if market is None:
            if seen.sub.lower() not in self._leaving:
                self.rejected.append(Rejected(None, f"unknown market {seen.sub}", raw))
        elif seen.ts > now + MAX_LEAD_US:
            self._reject(market, f"{(seen.ts - now) / SECOND_US:.0f} s ahead of the provider's clock", raw, now)
        elif seen.ts >= now - self._retention:
            # A stamp that is not believed yet may be right: too early a receipt could prove a false bridge.
            self.records.append(market.trade(seen, self.newest_stamp, received_at=max(now, seen.stamp or 0)))
        elif not market.subscribed:
            self.too_old += 1
        else:
            self.rejected.append(Rejected(market.market, TOO_OLD_REASON, raw))
            # It lies where the next claim would, so it is no late trade: the clock by which it is old must be wrong.
            if market.start is not None and seen.ts >= (market.stop or market.start):
                self._end(market, f"a trade was refused: {TOO_OLD_REASON}", now)

    def _take_garbage(self, event: provider.Garbage, raw: bytes, now: int) -> None:
        market = self._markets.get(event.sub.lower()) if event.sub else None
        if market:
            self._reject(market, event.reason, raw, now)
            return
        self.rejected.append(Rejected(None, event.reason, raw))
        if event.sub is None:  # it may have been a trade of any market of this connection
            for each in self._markets.values():
                self._end(each, f"an unreadable frame: {event.reason}", now)

    def _take_refused(self, event: provider.Refused, raw: bytes) -> None:
        key = event.sub.lower() if event.sub else ""
        market = self._markets.pop(key, None)
        if market is not None:
            self._numbers[market.market] = market.n
            self.rejected.append(Rejected(market.market, f"{REFUSED_REASON}: {event.reason}", raw))
            self.refused.append((market.market, event))
        elif key in self._left:
            self._leaving.discard(key)  # it was not subscribed to, so there is nothing to leave
        else:
            self.refusal = event

    def claim(self, local: float, database_now: int) -> None:
        """Claim what the frames so far prove: with each heartbeat, at each minute, every second for a busy market."""
        until = min(self.newest_stamp - self._grace, self._clock.now(database_now))
        all_markets = self._heartbeat_seen or until // MINUTE > self._claimed_until // MINUTE
        if until <= 0 or not (all_markets or local - self._claimed_at >= 1):
            return
        for market in self._markets.values():
            if missing := market.sequence.overdue(self.newest_stamp - self._grace):
                reason = f"the provider's numbering lacks {missing} trades"
                self._end(market, reason, self._clock.now(database_now))
            if (all_markets or market.traded) and (mark := market.claim(until, self.newest_stamp, self._grace)):
                self.records.append(mark)
        self._heartbeat_seen, self._claimed_at = False, local
        self._claimed_until = max(self._claimed_until, until)

    def claim_start(self, sub: str, database_now: int) -> int | None:
        """Return the first time that a route begun now may claim; None while the channel is not subscribed.

        Nothing that came before lies after that time, whatever its own stamp says: it is not carried.
        """
        market = self._markets.get(sub.lower())
        if market is None or not market.subscribed:
            return None
        return max(self._clock.now(database_now) + SECOND_US, market.youngest + 1, market.start or 0)

    def end_spans(self, reason: str) -> None:
        """End every span: nothing more arrives."""
        for market in self._markets.values():
            self._end(market, reason, self._clock.floor)

    def _end(self, market: MarketFeed, reason: str, now: int) -> None:
        if closed := market.end(reason, self.newest_stamp, now):
            self.records.append(closed)

    def _reject(self, market: MarketFeed, reason: str, raw: bytes, now: int) -> None:
        self.rejected.append(Rejected(market.market, reason, raw))
        self._end(market, f"a trade was refused: {reason}", now)

    def drain(self) -> list[LiveRecord]:
        """Return the records made since the last call."""
        records, self.records = self.records, []
        return records

    def change_channels(self, wanted: dict[str, str], retry: Set[str]) -> tuple[list[str], list[str]]:
        """Leave and join channels on the open socket; return the markets that were left and that joined.

        retry: markets whose channel is worth another try if it was refused.
        """
        self.channels = {
            sub: symbol for sub, symbol in self.channels.items() if symbol not in retry or sub.lower() in self._markets
        }
        change = channel_change(self.channels, wanted)
        left = [self.channels.pop(sub) for sub in change.leave]
        to_leave = [sub for sub in change.leave if self.leave(sub)]
        now = self._time.database_time()
        joined = {sub: symbol for sub, symbol in change.join.items() if self.join(sub, symbol, now)}
        self.channels |= joined
        sent = not to_leave or self._reader.send(provider.unsubscribe_message(to_leave))
        sent &= not joined or self._reader.send(provider.subscribe_message(list(joined)))
        if not sent:
            self.lost = SocketLost(self._time.monotonic(), "a subscription could not be sent")
        if to_leave or joined:
            log.info("subscriptions changed", joined=list(joined), left=to_leave)
        return left, list(joined.values())

    def join(self, sub: str, symbol: str, database_now: int) -> bool:
        """Add a market about to be subscribed to; False if it is here, or its last subscription has not ended yet."""
        key = sub.lower()
        if key in self._markets or key in self._leaving:
            return False
        # A trade that was received before this moment came by an earlier subscription.
        market = MarketFeed(symbol, self.feed, self._clock.now(database_now))
        market.n = self._numbers.pop(symbol, 0)
        self._markets[key] = market
        return True

    def leave(self, sub: str) -> bool:
        """Remove a market: its span ends, and what is still on its way is dropped. False if it is not here."""
        key = sub.lower()
        market = self._markets.pop(key, None)
        if market is None:
            return False
        self._end(market, "no longer followed", self._clock.floor)
        self._numbers[market.market] = market.n
        self._leaving.add(key)
        self._left.add(key)
        return True
