"""What is asked of a provider's REST API and what it answers, the same for every provider; units as in events.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from datastore.reference.pairs import Listed
from ingestion.providers.events import FeedRefused, Garbage, LastId, TradeSeen

DAY_US = 86_400_000_000
RETENTION_SLACK_US = 3_600_000_000  # a provider may forget whole hours at a time


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
        """Return the pairs that are traded or may be again, with their steps."""
        return tuple(
            replace(market.pair, price_step=market.tick, amount_step=market.lot)
            for market in self.markets
            if market.state is not MarketState.DELISTED
        )


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
