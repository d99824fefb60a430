"""What is peculiar to a provider, as one frozen record: what it gives, what it proves, and what it allows. Pure.

Times are timedeltas, resolutions seconds. The values are each provider's own (ingestion/providers/<name>/traits.py);
the record lies here because the datastore decides by it what is final, complete and equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum


class Proof(StrEnum):
    """What a proven span rests on, the strongest first."""

    IDS = "ids"  # every id of the venue between the first and the last trade is stored
    SEQUENCE = "sequence"  # the provider's own numbering has no hole
    CONNECTION = "connection"  # one unbroken subscription with heartbeats, replay and overlap
    CANDLE = "candle"  # the provider's own candle


class Empties(StrEnum):
    """What the provider's candles say of a bucket without trades."""

    OMITTED = "omitted"  # no row: a missing row proves nothing
    FILLED = "filled"  # a row without volume at the close before


class OpenPrice(StrEnum):
    """What the provider's candles open with."""

    PRIOR_CLOSE = "prior close"
    FIRST_TRADE = "first trade"


class PageBy(StrEnum):
    """What a page of trades is asked for by."""

    ID = "id"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Host:
    """One address of the provider: what it serves, the setting that changes it, and what it is without that."""

    serves: str  # "stream" or "rest"
    setting: str
    url: str


@dataclass(frozen=True, slots=True)
class Resolution:
    """Candles of one length: answers may be cache_age old, and reach depth back (None: to the first trade)."""

    cache_age: timedelta  # a candle is final once it ended longer ago
    depth: timedelta | None = None


@dataclass(frozen=True, slots=True)
class CandleTraits:
    """The provider's candles."""

    resolutions: Mapping[int, Resolution]  # by length in seconds
    rows_per_page: int
    empties: Empties
    opens_with: OpenPrice
    volume_tolerance: Decimal = Decimal(0)  # relative to the greater of two volumes; 0: the sums are exact
    quote_volume: bool = True  # the rows have one
    # What each trade may be short of price times amount in a quote volume (Binance cuts each product off).
    quote_volume_step: Decimal = Decimal(0)
    trade_counts: bool = False  # the rows have the number of trades
    newest_rows: int | None = None  # whatever is asked for, it has only so many of the newest rows of each length

    def final_before(self, resolution: int, now: datetime) -> datetime:
        """Return the time by which a candle must have ended so that answers are final at the provider's time `now`."""
        return now - self.resolutions[resolution].cache_age


@dataclass(frozen=True, slots=True)
class TradeTraits:
    """The provider's history of trades."""

    rows_per_page: int
    page_by: PageBy
    oldest_first: bool  # pages go from the asked start on, else from its end back
    depth: timedelta | None = None  # None: to the first trade, or not known; a page says what lies below its floor


@dataclass(frozen=True, slots=True)
class CallWindow:
    """At most `limit` within any so many seconds; what is counted is said where it is used."""

    seconds: int
    limit: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What the provider allows one address (IP)."""

    calls: tuple[CallWindow, ...]  # of REST calls; each counts 1
    weights: tuple[CallWindow, ...] = ()  # of the sum of the calls' weights
    used_weight_header: str | None = None  # in which an answer says the weight used within the shortest window
    channels_per_connection: int | None = None  # markets times channels; None: no limit is known
    channels_per_market: int = 1
    messages: CallWindow | None = None  # that we send on one connection
    connections: CallWindow | None = None  # attempts
    connections_at_once: int | None = None  # open ones; None: no limit is known
    forced_disconnect: timedelta | None = None  # a connection lives no longer
    counted_as: str = ""  # under which name our calls are counted, if not the provider's


@dataclass(frozen=True, slots=True)
class StreamTraits:
    """The provider's live feed."""

    heartbeat_proves_quiet: bool  # it names the last id, so that nothing was traded until its time
    silent_after: timedelta  # without any frame for so long, the connection is dead
    reconnect_after: timedelta = timedelta(seconds=5)  # no sooner, however the connection ended
    keep_alive: timedelta | None = None  # how often Stream.keep_alive() is to be sent; None: never
    # Its time comes while nothing is traded, too: where it jumps further than silent_after, frames were lost.
    stamps_quiet: bool = True
    refuses_silently: bool = False  # an unknown market is accepted and stays quiet: check the catalogue before
    aggregates: bool = False  # trades of one taker at one price come as one, so that counts of trades differ
    may_omit: bool = False  # trades are known to be left out: close each minute by a page of trades


@dataclass(frozen=True, slots=True)
class Traits:
    """One provider."""

    name: str
    venues: tuple[str, ...] | None  # the exchanges of the markets it serves; None: whichever its catalogue lists
    needs_key: bool
    hosts: tuple[Host, ...]
    proofs: tuple[Proof, ...]  # what it can prove, the strongest first
    stream: StreamTraits
    candles: CandleTraits
    trades: TradeTraits | None  # None: there is no history of trades
    limits: Limits
    terms: str  # one sentence on terms and regions, shown to people
    # Its names of venues that are not ours with a capital, until its catalogue is known; None: it has ours.
    spellings: Mapping[str, str] | None = None

    def spelling_of(self, venue: str) -> str:
        """Return a venue's name as the provider is expected to spell it."""
        return venue if self.spellings is None else self.spellings.get(venue, venue.capitalize())
