"""One market on one connection: its records, numbered, and what they may claim."""

from __future__ import annotations

from dataclasses import dataclass, field

from datastore.timeframes.intervals import SECOND_US
from ingestion.live.equal_trades import EqualTrades
from ingestion.live.sequence_gaps import SequenceCheck
from ingestion.providers.events import Garbage, LastId, TradeSeen
from ingestion.trade_records import last_trade_record, trade_record
from streaming.ends import EndCode
from streaming.records import FeedClosed, FeedOpened, LastTrade, Replayed, Trade, Watermark
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
    grace: int  # how much later than its own time a trade may be discovered
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
    unsure_until: int = 0  # of trades up to here the replay may lack equals, so what their content names may be others
    unsure_count: int = 0  # replayed trades up to the last such one
    equal: EqualTrades = field(default_factory=EqualTrades)
    sequence: SequenceCheck = field(default_factory=SequenceCheck)
    last_id: LastId | None = None  # the newest that the provider said and no record carries yet

    def note_number(self, seen: TradeSeen | Garbage, newest_stamp: int) -> None:
        """Take the number of a trade that came, whether or not it can be stored; newest_stamp: of the connection."""
        if seen.number is not None:
            self.sequence.note(seen.number, newest_stamp, seen.stamp)

    def trade(self, seen: TradeSeen, received_at: int) -> Trade:
        """Return the record of a trade."""
        self.n += 1
        self.traded = True
        self.youngest = max(self.youngest, seen.ts)
        name = self.equal.name_of(seen)
        if not self.subscribed:
            if not self.replayed:
                # A second more, for stamps are often whole seconds.
                self.unsure_until = (seen.ts + self.grace if seen.stamp is None else seen.stamp) + SECOND_US
            if len(self.replayed) < MAX_REPLAYED_TRADES:
                self.replayed.append(Replayed(seen.ts, name, seen.number))
                if seen.named_by_content and seen.ts <= self.unsure_until:
                    self.unsure_count = len(self.replayed)
            elif self.replayed[0].seq is not None:
                # Numbers that do not reach the replay's end prove nothing; the ids still do.
                self.replayed = [Replayed(trade.ts, trade.id) for trade in self.replayed]
        return trade_record(seen, self.market, self.feed, self.n, received_at, name)

    def note_last_id(self, said: LastId) -> None:
        """Take what the provider says of the market's newest trade."""
        if self.last_id is None or said.at >= self.last_id.at:
            self.last_id = said

    def last_trade(self) -> LastTrade | None:
        """Return the record of what was said since the last call, None if nothing was."""
        said, self.last_id = self.last_id, None
        if said is None:
            return None
        self.n += 1
        return last_trade_record(said, self.market, self.feed, self.n)

    def open(self, start: int) -> FeedOpened:
        """Begin the span: the subscription is complete, and later than every trade of the replay before it.

        Where these are newer than `start`, our estimate of the provider's time is behind, and what came between the
        last of the replay and the subscription is not known to be here.
        """
        self.subscribed = True
        self.sequence.settle()
        self.start = start = max(start, self.youngest + 1)
        self.n += 1
        # A bridge may only reach back to what came after the last trade that may have been taken for another.
        replayed = () if self.replay_broken else tuple(self.replayed[self.unsure_count :])
        self.replayed.clear()
        return FeedOpened(
            market=self.market, feed=self.feed, n=self.n, connected=self.connected, start=start, replayed=replayed
        )

    def claim(self, until: int, newest_stamp: int) -> Watermark | None:
        """Claim what is proven up to `until`, or begin a new span after an end; None if there is nothing new."""
        if not self.subscribed:
            return None
        certain = self._certain_until
        if certain is not None:
            until = min(until, certain)
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

    def end(self, reason: str, newest_stamp: int, now: int, code: EndCode = EndCode.OTHER) -> FeedClosed | None:
        """End the open span where it was last proven, and take back what a missing number contradicts.

        None if no span is open and nothing is taken back.
        """
        self.ended_seen, self.ended_now = newest_stamp, now
        self.replay_broken |= not self.subscribed
        certain = self._certain_until if self.subscribed else None
        if self.subscribed:
            self.sequence.settle()  # a new span begins behind everything that is missing now
        if self.start is None and certain is None:
            return None
        self.n += 1
        closed = FeedClosed(
            market=self.market,
            feed=self.feed,
            n=self.n,
            start=certain or 0 if self.start is None else self.start,
            stop=self.stop,
            reason=reason[:200] or "no reason given",
            code=code.value,
            certain=certain,
        )
        self.start = self.stop = None
        return closed

    @property
    def _certain_until(self) -> int | None:
        """Return the last time that a missing number leaves certain; None if no number is missing."""
        complete_until = self.sequence.complete_until
        return None if complete_until is None else max(complete_until - self.grace, 0)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A frame or trade that goes to the dead letters."""

    market: str | None
    refusal: Refusal
    raw: bytes
