"""One market on one connection: its records, numbered, and what they may claim."""

from __future__ import annotations

from dataclasses import dataclass, field

from ingestion.live.sequence_gaps import SequenceCheck
from ingestion.providers.cryptocompare.stream import TradeSeen
from streaming.records import FeedClosed, FeedOpened, Replayed, Trade, Watermark
from streaming.refusals import Refusal

# The provider replays 20 trades; the identities of very many would not fit into one record. The oldest are enough:
# either an earlier connection received one of them, or the replay does not reach back.
MAX_REPLAYED_TRADES = 5_000


@dataclass(slots=True)
class MarketFeed:
    """One market on one connection, from one subscription to its end; times are the provider's, in microseconds."""

    market: str
    feed: str
    connected: int  # when the socket opened, or when this market was subscribed to on an open one
    n: int = 0  # of the newest record
    subscribed: bool = False
    start: int | None = None  # of the open span
    stop: int | None = None  # what it has proven so far
    ended_seen: int = 0  # newest stamp when the last span ended
    ended_now: int = 0  # time then
    youngest: int = 0  # greatest exchange time of any trade that was taken
    traded: bool = False  # since the last watermark
    replayed: list[Replayed] = field(default_factory=list)
    replay_broken: bool = False  # a replayed trade may be missing, so the replay proves no bridge
    sequence: SequenceCheck = field(default_factory=SequenceCheck)

    def trade(self, seen: TradeSeen, newest_stamp: int, received_at: int) -> Trade:
        """Return the record of a trade; newest_stamp: of any frame on the connection."""
        self.n += 1
        self.traded = True
        self.youngest = max(self.youngest, seen.ts)
        if not self.subscribed:
            if len(self.replayed) < MAX_REPLAYED_TRADES:
                self.replayed.append(Replayed(seen.ts, seen.id, seen.ccseq))
            elif self.replayed[0].seq is not None:
                # Numbers that do not reach the replay's end prove nothing; the ids still do.
                self.replayed = [Replayed(trade.ts, trade.id) for trade in self.replayed]
        if seen.ccseq is not None:
            self.sequence.note(seen.ccseq, newest_stamp)
        return Trade(
            market=self.market,
            feed=self.feed,
            n=self.n,
            ts=seen.ts,
            seq=seen.seq,
            id=seen.id,
            price=seen.price,
            amount=seen.amount,
            side=seen.side,
            received_at=received_at,
        )

    def open(self, start: int) -> FeedOpened:
        """Begin the span: the subscription is complete."""
        self.subscribed = True
        self.sequence.settle()
        self.start = start
        self.n += 1
        replayed = () if self.replay_broken else tuple(self.replayed)
        self.replayed.clear()
        return FeedOpened(
            market=self.market, feed=self.feed, n=self.n, connected=self.connected, start=start, replayed=replayed
        )

    def claim(self, until: int, newest_stamp: int, grace: int) -> Watermark | None:
        """Claim what is proven up to `until`, or begin a new span after an end; None if there is nothing new."""
        if not self.subscribed:
            return None
        complete_until = self.sequence.complete_until
        if complete_until is not None:
            until = min(until, max(complete_until - grace, 0))
        begins = self.start is None and newest_stamp > max(self.ended_seen, self.ended_now)
        if begins:
            self.start = newest_stamp
        if self.start is None or not (begins or until > max(self.start, self.stop or 0)):
            return None
        if until > self.start:
            self.stop = until
        self.n += 1
        self.traded = False
        return Watermark(market=self.market, feed=self.feed, n=self.n, start=self.start, until=until, seen=newest_stamp)

    def end(self, reason: str, newest_stamp: int, now: int) -> FeedClosed | None:
        """End the open span where it was last proven; None if there is none."""
        self.ended_seen, self.ended_now = newest_stamp, now
        self.replay_broken |= not self.subscribed
        if self.start is None:
            return None
        self.n += 1
        start, stop = self.start, self.stop
        self.start = self.stop = None
        reason = reason[:200] or "no reason given"
        return FeedClosed(market=self.market, feed=self.feed, n=self.n, start=start, stop=stop, reason=reason)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A frame or trade that goes to the dead letters."""

    market: str | None
    refusal: Refusal
    raw: bytes
