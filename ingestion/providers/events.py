"""What a provider's stream says, the same for every provider.

Times are whole microseconds since 1970 UTC in the provider's time. Prices and amounts are exact decimals. `sub` names a
market's channel as the provider spells it. Sides are the taker's: 1 buy, -1 sell, 0 unknown. Ranges of ids include both
ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from streaming.refusals import RefusalCode


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
