"""What every provider is to the rest of Candlekeep: traits, a stream, a history, a catalogue and its names.

All of it is pure: messages and requests go out as bytes and paths, frames and answers come in as bytes, and what they
say comes back typed. Nothing here connects, waits, publishes or stores.

Times are whole microseconds since 1970 UTC in the provider's time. Prices and amounts are exact decimals. `sub` names a
market's channel as the provider spells it. Sides are the taker's: 1 buy, -1 sell, 0 unknown. Ranges of ids include both
ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from datastore.reference.pairs import Listed
from datastore.reference.traits import Traits
from streaming.refusals import RefusalCode

DAY_US = 86_400_000_000
RETENTION_SLACK_US = 3_600_000_000  # a provider may forget whole hours at a time


# --- What the stream says -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TradeSeen:
    """A trade of the market that `sub` names; identity within a venue that counts its trades is `id` alone."""

    sub: str
    ts: int
    id: str
    price: Decimal
    amount: Decimal
    side: int
    seq: int | None = None  # orders trades of one time
    # The venue's consecutive ids that it covers: one trade, or an aggregate of several. None: they are not counted.
    first: int | None = None
    last: int | None = None
    number: int | None = None  # the provider's own consecutive number (CCSEQ)
    stamp: int | None = None  # when the provider received or sent it
    replayed: bool = False  # it was traded before the subscription
    made_up_id: str | None = None  # the provider's, on this connection only
    named_by_content: bool = False  # `id` is that of every trade of this time, price, amount and side


@dataclass(frozen=True, slots=True)
class LastId:
    """The venue says that no trade before `at` has a greater id than `id`, which is never 0.

    It may be ahead of trades that are still on their way, or late itself: alone it opens no gap.
    """

    sub: str
    id: int
    at: int


@dataclass(frozen=True, slots=True)
class CandleSeen:
    """The venue's own candle of [start, stop) as of `at`; first and last are None if nothing was traded in it."""

    sub: str
    start: int
    stop: int
    at: int
    closed: bool
    first: int | None
    last: int | None
    trades: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal


@dataclass(frozen=True, slots=True)
class Subscribed:
    """From now on every trade of `sub` is sent; said again, it changes nothing."""

    sub: str


@dataclass(frozen=True, slots=True)
class Unsubscribed:
    """The provider sends nothing more of `sub`; None: of all subscriptions that were to end."""

    sub: str | None


@dataclass(frozen=True, slots=True)
class FeedRefused:
    """The provider refuses one subscription, or without `sub` the connection or key, with what to do about it."""

    code: str
    reason: str
    sub: str | None = None
    http_status: int | None = None  # the status that means the same
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Stamped:
    """The provider's clock."""

    stamp: int


@dataclass(frozen=True, slots=True)
class ReconnectSoon:
    """The provider is about to end this connection: the next one should stand before; within seconds, if it says."""

    reason: str
    within: float | None = None


@dataclass(frozen=True, slots=True)
class VenueStatus:
    """Whether the venue trades at all; `word` is its own. It explains a quiet time and proves nothing."""

    word: str
    trading: bool


@dataclass(frozen=True, slots=True)
class Garbage:
    """What cannot be used, with the reason; the rest if it can be read, as in TradeSeen. No `sub`: any market's."""

    reason: str
    sub: str | None = None
    number: int | None = None
    stamp: int | None = None
    code: RefusalCode = RefusalCode.UNREADABLE


Event = (
    TradeSeen
    | LastId
    | CandleSeen
    | Subscribed
    | Unsubscribed
    | FeedRefused
    | Stamped
    | ReconnectSoon
    | VenueStatus
    | Garbage
)


class Stream(Protocol):
    """One connection's messages and frames; it remembers what it asked for, so each connection needs its own."""

    def subscribe(self, subs: Sequence[str]) -> list[bytes]:
        """Return the frames that ask for these channels, to be sent in order."""

    def unsubscribe(self, subs: Sequence[str]) -> list[bytes]:
        """Return the frames that end these channels."""

    def keep_alive(self) -> bytes | None:
        """Return the frame to send every traits.stream.keep_alive; None if there is none."""

    def read_frame(self, raw: bytes) -> tuple[Event, ...]:
        """Return what a frame says, in order; empty if nothing we need. Never raises, and loses no trade silently."""


# --- What history answers -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Request:
    """One GET: path with query, and what it counts against the provider's weights."""

    path: str
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, of whatever kind; headers are found however they are spelled."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class CandleRow:
    """One candle as sent: `time` is its start in seconds; None: the provider does not say."""

    time: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal | None
    trades: int | None = None


@dataclass(frozen=True, slots=True)
class CandlesAsked:
    """The buckets of [start, stop), whole ones, no more than traits.candles.rows_per_page."""

    sub: str
    resolution: int  # seconds
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Warned:
    """What the provider warns of although it answers; the next call should wait slow_down seconds."""

    reason: str
    slow_down: float


@dataclass(frozen=True, slots=True)
class CandlePage:
    """Rows in any order, the running one perhaps among them; those that cannot be read are only counted."""

    rows: tuple[CandleRow, ...]
    unreadable: int
    at: int  # the provider's time of the answer
    provider: str = ""  # its name for itself, empty if it gives none
    warning: Warned | None = None


@dataclass(frozen=True, slots=True)
class TradeMark:
    """One trade that is known: its id, its time, and the newest of the venue's ids that it covers."""

    id: int  # that of TradeSeen.id, an aggregate's own
    ts: int
    last: int  # the same as id unless it is an aggregate


@dataclass(frozen=True, slots=True)
class TradesAsked:
    """The trades between two known ones, which are not asked for; without `before`: up to the newest.

    since: in place of `after` where no trade before is known. Pages by id then go down from `before`, or the newest, to
    the first page that has an older trade; pages by time begin there. Some older trades may come, too.
    """

    sub: str
    after: TradeMark | None
    before: TradeMark | None = None
    since: int | None = None

    @property
    def reaches_back(self) -> bool:
        """Return whether trades are asked for back to a time."""
        return self.after is None and self.since is not None


@dataclass(frozen=True, slots=True)
class TradePage:
    """Trades asked for, in the order of their ids and once each; those that cannot be read are reported.

    cursor: what brings the next page, None after the last one. floor: the venue no longer has the trades between the
    ones asked for and trades[0]. newest: a statement that this answer makes on the market's newest trade.
    """

    trades: tuple[TradeSeen, ...]
    garbage: tuple[Garbage, ...]
    cursor: str | None
    at: int | None  # the provider's time of the answer, None if it does not say
    newest: LastId | None = None
    floor: bool = False


class MarketState(StrEnum):
    """What the catalogue says of a market."""

    TRADING = "trading"
    HALTED = "halted"  # listed, and may trade again
    DELISTED = "delisted"


@dataclass(frozen=True, slots=True)
class ListedMarket:
    """One pair, our names in it, with the smallest steps of price (tick) and amount (lot) if the list has them."""

    pair: Listed
    state: MarketState = MarketState.TRADING
    word: str = ""  # the venue's own for its state
    tick: Decimal | None = None
    lot: Decimal | None = None


@dataclass(frozen=True, slots=True)
class PairList:
    """All pairs; entries that cannot be read, or named in both directions, are only counted."""

    markets: tuple[ListedMarket, ...]
    unreadable: int
    provider: str = ""  # as in CandlePage
    warning: Warned | None = None

    @property
    def pairs(self) -> tuple[Listed, ...]:
        """Return the pairs that are traded or may be again."""
        return tuple(market.pair for market in self.markets if market.state is not MarketState.DELISTED)


@dataclass(frozen=True, slots=True)
class ProviderTime:
    """The provider's clock, no finer than `step` microseconds."""

    at: int
    step: int


@dataclass(frozen=True, slots=True)
class RateLimited:
    """Too many calls; ask again after retry_after seconds. banned: calls until then make it longer."""

    retry_after: float
    reason: str
    banned: bool = False
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """This request is not answered now; days_kept: the provider says that it keeps no more than so many days."""

    reason: str
    at: int | None = None  # the provider's time of the answer, None if it does not say
    days_kept: int | None = None
    remedy: str = ""

    def is_final(self, stop: int) -> bool:
        """Return whether what ends at stop is too old for the provider: all else may pass."""
        if self.at is None or self.days_kept is None:
            return False
        return stop <= self.at - self.days_kept * DAY_US + RETENTION_SLACK_US


@dataclass(frozen=True, slots=True)
class Unauthorized:
    """The key is missing, wrong or not paid for."""

    reason: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Blocked:
    """The provider answers nobody at this address or in this region: no call will do better, the remedy may."""

    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Unavailable:
    """No usable answer: an error of the provider's own, or garbage."""

    reason: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class CallsLeft:
    """The calls that the provider still allows this key, from anywhere, by the name of its windows.

    wait: seconds until all windows that are used up have begun again, 0 if none is.
    """

    left: Mapping[str, int]
    wait: float


Trouble = RateLimited | Refused | Unauthorized | Blocked | Unavailable


def why(trouble: Trouble | FeedRefused) -> str:
    """Return the reason for people, with what to do about it where that is known."""
    return f"{trouble.reason}; {trouble.remedy}" if trouble.remedy else trouble.reason


class History(Protocol):
    """The provider's past: what to ask, and what each answer says. Reading never raises."""

    def candles_request(self, asked: CandlesAsked) -> Request:
        """Return the call that brings these candles."""

    def read_candles(self, asked: CandlesAsked, answer: Answer) -> CandlePage | Trouble:
        """Return the candles, rows outside of what was asked for perhaps among them."""

    def trades_request(self, asked: TradesAsked, cursor: str | None = None) -> Request:
        """Return the call that brings the first page of these trades, or the page at the cursor of the one before."""

    def read_trades(self, asked: TradesAsked, cursor: str | None, answer: Answer) -> TradePage | Trouble:
        """Return what the call with this cursor brought."""


class Catalogue(Protocol):
    """What the provider lists, and its clock. Reading never raises."""

    def pairs_request(self) -> Request:
        """Return the call that brings all pairs."""

    def read_pairs(self, answer: Answer) -> PairList | Trouble:
        """Return all pairs."""

    def time_request(self) -> Request | None:
        """Return the call that brings the provider's time; None if there is none."""

    def read_time(self, answer: Answer) -> ProviderTime | Trouble:
        """Return the provider's time."""


class Allowance(Protocol):
    """The provider's own count of our calls. Reading never raises."""

    def left_request(self) -> Request:
        """Return the call that brings how many calls are left."""

    def read_left(self, answer: Answer) -> CallsLeft | Trouble:
        """Return how many calls are left."""


class Names(Protocol):
    """Markets as the provider spells them, and back."""

    def sub_of(self, pair: Listed) -> str:
        """Return the channel of a pair."""

    def pair_of(self, sub: str) -> Listed | None:
        """Return the pair of a channel; None if the name alone does not tell."""


def same_channel(sub: str) -> str:
    """Return a channel itself: its spelling is the only one."""
    return sub


def no_headers(key: str) -> Mapping[str, str]:
    """Return no header: the provider asks for no key."""
    return {}


@dataclass(frozen=True, slots=True)
class Provider:
    """All of one provider; `stream` makes what one connection needs.

    channel_key: returns what a channel is found by, the same for all its spellings. key_setting: the setting that holds
    our key, "" if it needs none. headers: returns those that carry a key. allowance: None if it does not count for us.
    """

    traits: Traits
    names: Names
    stream: Callable[[], Stream]
    history: History
    catalogue: Catalogue
    channel_key: Callable[[str], str] = same_channel
    key_setting: str = ""
    headers: Callable[[str], Mapping[str, str]] = no_headers
    allowance: Allowance | None = None

    @property
    def name(self) -> str:
        """Return its name."""
        return self.traits.name
