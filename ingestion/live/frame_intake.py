"""From a connection's frames to the records of its feed: numbering, claims and what ends them.

Pure: the caller brings frames with the database time of their receipt and carries the records away. All times are
microseconds. Rules: a claim (watermark) never runs ahead of the trades in front of it, and whatever could hide a
missing trade ends the market's span.
"""

from __future__ import annotations

from ingestion.live.clock_estimate import SECOND, SUSPICIOUS, ClockEstimate
from ingestion.live.market_feed import MarketFeed, Rejected
from ingestion.providers.cryptocompare.stream import (
    Garbage,
    Refused,
    Stamped,
    Subscribed,
    TradeSeen,
    Unsubscribed,
    read_frame,
)
from streaming.records import LiveRecord

MINUTE = 60 * SECOND
# A trade may be stamped a little ahead of our estimate of the provider's clock, not more.
FUTURE = 60 * SECOND
REFUSED = "the provider refuses the subscription"
TOO_OLD = "older than the trades we keep"


class FrameIntake:
    """Turn one connection's frames into records, numbered per market."""

    def __init__(
        self, feed: str, markets: dict[str, str], clock: ClockEstimate, *, grace: int, retention: int, connected: int
    ) -> None:
        """Begin a feed of `markets` (the provider's channel -> our symbol) connected at this provider time."""
        self.feed = feed
        self.records: list[LiveRecord] = []
        self.rejected: list[Rejected] = []
        self.refusal: Refused | None = None  # of the whole connection
        self.refused: list[tuple[str, Refused]] = []  # markets whose subscription was refused: the caller's to clear
        self.too_old = 0  # replayed trades from before tick retention, counted and dropped
        self.newest = 0  # newest stamp of the provider on this connection
        self._markets = {sub.lower(): MarketFeed(symbol, feed, connected) for sub, symbol in markets.items()}
        self._leaving: set[str] = set()  # channels whose end the provider has not confirmed
        self._left: set[str] = set()  # channels that we ever left
        self._numbers: dict[str, int] = {}  # of the newest record of markets that are not here now, by symbol
        self._clock, self._grace, self._retention = clock, grace, retention
        self._beat = False
        self._claimed = 0  # newest `until` given to all markets
        self._counted = 0.0  # local time of the last watermarks of trading markets

    @property
    def has_records(self) -> bool:
        """Tell whether the feed has said anything yet."""
        return any(market.n for market in self._markets.values())

    @property
    def has_markets(self) -> bool:
        """Tell whether any market is subscribed to, or about to be."""
        return bool(self._markets)

    def holds(self, sub: str) -> bool:
        """Tell whether this channel's market is here: not left, and not refused."""
        return sub.lower() in self._markets

    def opening(self, sub: str, database_now: int) -> int | None:
        """Return from when on somebody may claim who carries a market from now on; None where no subscription stands.

        Nothing that came before may lie behind that time, whatever its own stamp says: it is not carried.
        """
        market = self._markets.get(sub.lower())
        if market is None or not market.subscribed:
            return None
        return max(self._clock.now(database_now) + SECOND, market.youngest + 1, market.start or 0)

    def drain(self) -> list[LiveRecord]:
        """Hand over the records made since the last call."""
        records, self.records = self.records, []
        return records

    def add(self, sub: str, symbol: str, database_now: int) -> bool:
        """Take in a market that is about to be subscribed to; False where it is here, or its last one still ends.

        Its span begins like every other, when its own subscription is complete.
        """
        key = sub.lower()
        if key in self._markets or key in self._leaving:
            return False
        # A trade that was received before this moment was brought by an earlier subscription.
        market = MarketFeed(symbol, self.feed, self._clock.now(database_now))
        market.n = self._numbers.pop(symbol, 0)
        self._markets[key] = market
        return True

    def remove(self, sub: str) -> bool:
        """Let a market go: its span ends, and what is still on its way is dropped. False where it is not here."""
        key = sub.lower()
        market = self._markets.pop(key, None)
        if market is None:
            return False
        self._end(market, "no longer followed", self._clock.floor)
        self._numbers[market.market] = market.n
        self._leaving.add(key)
        self._left.add(key)
        return True

    def take(self, raw: bytes, database_at: int) -> None:
        """Take one frame, received at this database time."""
        event = read_frame(raw)
        if isinstance(event, TradeSeen):
            self._stamp(event.stamp, database_at)
            self._trade(event, raw, database_at)
        elif isinstance(event, Stamped):
            self._stamp(event.stamp, database_at)
            self._beat = True
        elif isinstance(event, Subscribed):
            self._open(event.sub, database_at)
        elif isinstance(event, Unsubscribed):
            self._unsubscribed(event)
        elif isinstance(event, Garbage):
            self._garbage(event, raw, database_at)
        elif isinstance(event, Refused):
            self._refused(event, raw)

    def _stamp(self, stamp: int | None, database_at: int) -> None:
        before = self._clock.offset
        if stamp is None or not self._clock.observe(stamp, database_at):
            return
        self.newest = max(self.newest, stamp)
        if self._clock.offset > before + SUSPICIOUS:
            self._begin_later(self._clock.now(database_at))

    def _begin_later(self, now: int) -> None:
        """Take back the starts that a clock far behind the provider's has set: they lie before the subscription."""
        for market in self._markets.values():
            if market.stop is None:
                self._end(market, "the clock was found to be behind the provider's", now)

    def _trade(self, seen: TradeSeen, raw: bytes, database_at: int) -> None:
        market = self._markets.get(seen.sub.lower())
        now = self._clock.now(database_at)
        if market is None:
            if seen.sub.lower() not in self._leaving:
                self.rejected.append(Rejected(None, f"unknown market {seen.sub}", raw))
        elif seen.ts > now + FUTURE:
            self._reject(market, f"{(seen.ts - now) / SECOND:.0f} s ahead of the provider's clock", raw, now)
        elif seen.ts < now - self._retention:
            self._too_old(market, seen.ts, raw, now)
        else:
            self._accept(market, seen, now)

    def _accept(self, market: MarketFeed, seen: TradeSeen, now: int) -> None:
        # A stamp that is not believed yet may be right: too early a receipt could prove a false bridge.
        self.records.append(market.trade(seen, self.newest, received_at=max(now, seen.stamp or 0)))

    def _too_old(self, market: MarketFeed, ts: int, raw: bytes, now: int) -> None:
        if not market.subscribed:
            self.too_old += 1
            return
        self.rejected.append(Rejected(market.market, TOO_OLD, raw))
        # Ours to claim next, so it is no late trade: the clock by which it is old must be wrong.
        if market.start is not None and ts >= (market.stop or market.start):
            self._end(market, f"a trade was refused: {TOO_OLD}", now)

    def _reject(self, market: MarketFeed, reason: str, raw: bytes, now: int) -> None:
        self.rejected.append(Rejected(market.market, reason, raw))
        self._end(market, f"a trade was refused: {reason}", now)

    def _garbage(self, event: Garbage, raw: bytes, database_at: int) -> None:
        now = self._clock.now(database_at)
        market = self._markets.get(event.sub.lower()) if event.sub else None
        if market:
            self._reject(market, event.reason, raw, now)
            return
        self.rejected.append(Rejected(None, event.reason, raw))
        # Whose frame it was cannot be read, so it may have been a trade of any market of this connection.
        for each in self._markets.values() if event.sub is None else ():
            self._end(each, f"an unreadable frame: {event.reason}", now)

    def _refused(self, event: Refused, raw: bytes) -> None:
        key = event.sub.lower() if event.sub else ""
        market = self._markets.pop(key, None)
        if market is None and key in self._left:
            self._leaving.discard(key)  # it was not subscribed to, so there is nothing to leave
            return
        if market is None:
            self.refusal = event
            return
        self._numbers[market.market] = market.n
        self.rejected.append(Rejected(market.market, f"{REFUSED}: {event.reason}", raw))
        self.refused.append((market.market, event))

    def _unsubscribed(self, event: Unsubscribed) -> None:
        """Note the end of a subscription; one that we did not ask for leaves us without its trades."""
        key = event.sub.lower() if event.sub else None
        if key in self._leaving:
            self._leaving.discard(key)
        elif key is not None or not self._left:
            self.refusal = Refused("", f"the provider ended the subscription {event.sub or ''}".rstrip())

    def _open(self, sub: str, database_at: int) -> None:
        market = self._markets.get(sub.lower())
        if market is not None and not market.subscribed:
            self.records.append(market.open(self._clock.now(database_at) + SECOND))

    def watermarks(self, local: float, database_now: int) -> None:
        """Claim what the frames so far prove: with each heartbeat, at each minute, every second for a busy market."""
        until = min(self.newest - self._grace, self._clock.now(database_now))
        everyone = self._beat or until // MINUTE > self._claimed // MINUTE
        if until <= 0 or not (everyone or local - self._counted >= 1):
            return
        for market in self._markets.values():
            self._end_if_trades_are_missing(market, database_now)
            if (everyone or market.traded) and (mark := market.claim(until, self.newest, self._grace)):
                self.records.append(mark)
        self._beat, self._counted = False, local
        self._claimed = max(self._claimed, until)

    def _end_if_trades_are_missing(self, market: MarketFeed, database_now: int) -> None:
        missing = market.sequence.overdue(self.newest - self._grace)
        if missing:
            self._end(market, f"the provider's numbering lacks {missing} trades", self._clock.now(database_now))

    def _end(self, market: MarketFeed, reason: str, now: int) -> None:
        if closed := market.end(reason, self.newest, now):
            self.records.append(closed)

    def close(self, reason: str) -> None:
        """End every span: the connection is gone."""
        for market in self._markets.values():
            self._end(market, reason, self._clock.floor)
