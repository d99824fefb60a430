"""A request that a job holds: what it asks for, how far it is, and every write of its row."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from actor_runtime.errors import RequestFault
from datastore.backfill import fetch_queue, trade_fill
from datastore.backfill.trade_fill import FillBounds, StoredTrade
from datastore.models import FetchRequest
from datastore.reference.pairs import Listed
from datastore.reference.provider_clock import provider_now
from datastore.timeframes.intervals import micros_of, moment
from ingestion.history import pages
from ingestion.history.pages import PageOrigin, PageRequest
from ingestion.providers.answers import TradeMark, TradesAsked
from ingestion.providers.table import PROVIDERS
from streaming.topics import CANDLE_DATA, TICK_DATA, Topic

log = structlog.get_logger(__name__)
REFUSAL_MARGIN = timedelta(minutes=1)  # between the answer and the write


class RequestLost(RequestFault):
    """The request has ended, or another job has it."""


class HeldRequest:
    """One request in one worker's hands; `over`: nothing is left to do for this job."""

    topic: Topic  # where its records go

    def __init__(self, request: FetchRequest, worker: str) -> None:
        """Hold a request that fetch_queue.start gave to this worker."""
        self._row, self._worker = request, worker
        self.over = False
        self.id = request.pk
        self.market = request.market.symbol
        self.provider = PROVIDERS[request.market.provider]
        self.pages_done = request.pages_done

    @property
    def sub(self) -> str:
        """Return the market's channel as the provider spells it."""
        market = self._row.market
        return self.provider.names.sub_of(Listed(market.provider_exchange, market.provider_base, market.provider_quote))

    def renew(self) -> None:
        """Keep the request; raise RequestLost."""
        if not fetch_queue.renew(self.id, self._worker):
            self.over = True
            raise RequestLost

    def publish(self) -> None:
        """Note that the request's last record is acknowledged: the consumer that stores it ends the request."""
        fetch_queue.mark_published(self.id, self._worker)
        self.over = True

    def complain(self, reason: str) -> None:
        """Note why the fetch is held up, for those who wait for it."""
        fetch_queue.note_error(self.id, self._worker, reason)

    def give_back(self, seconds: float, reason: str) -> None:
        """Queue the request again, to be begun in so many seconds; nothing if it is no longer ours."""
        self.over = True
        if fetch_queue.requeue(self.id, self._worker, reason, timedelta(seconds=max(0.0, seconds))):
            log.warning("fetch given back", reason=reason, wait=round(seconds))


class CandleLease(HeldRequest):
    """A request for candles; times are microseconds."""

    topic = CANDLE_DATA

    def __init__(self, request: FetchRequest, worker: str) -> None:
        super().__init__(request, worker)
        self.resolution = request.resolution
        self.start, self.stop = pages.whole_buckets(
            micros_of(request.start), micros_of(request.stop), request.resolution
        )
        self.candles = self.provider.traits.candles
        self.reached = micros_of(request.reached) if request.reached else self.stop

    def next_page(self) -> PageRequest | None:
        """Return the next page to ask for; None if all of them are acknowledged."""
        return pages.next_page(self.candles, self.start, self.reached, self.resolution)

    def oldest_bucket(self) -> int:
        """Return the start of the oldest bucket that the provider still has; 0: it has all."""
        rows = self.candles.newest_rows
        if rows is None:
            return 0
        return pages.oldest_bucket(rows, micros_of(provider_now(self.provider.name)), self.resolution)

    def origin(self, asked: PageRequest) -> PageOrigin:
        """Return what the records of this page carry."""
        done = self.pages_done + 1
        left = pages.pages_of(self.candles, self.start, asked.start, self.resolution)
        return PageOrigin(self.market, self.id, done, done + left)

    def shorten(self, stop: int) -> None:
        """Leave out what cannot be answered yet: whatever needs it asks again once it is final."""
        fetch_queue.shorten(self.id, self._worker, moment(stop))
        self.stop = self.reached = stop

    def advance(self, origin: PageOrigin, reached: int) -> None:
        """Note that all of [reached, stop) is acknowledged; a consumer may have ended the request already."""
        self.reached, self.pages_done = reached, origin.page
        if not fetch_queue.note_progress(self.id, self._worker, moment(reached), origin.page, origin.pages):
            self.over = True


class FillLease(HeldRequest):
    """A request for trades by their ids."""

    topic = TICK_DATA

    def __init__(self, request: FetchRequest, worker: str) -> None:
        super().__init__(request, worker)
        self.bounds: FillBounds | None = trade_fill.bounds_of_fill(request)  # None: nothing is missing any more

    def asked(self, bounds: FillBounds) -> TradesAsked:
        """Return what to ask the provider for."""
        since = None if bounds.since is None else micros_of(bounds.since)
        return TradesAsked(self.sub, _mark(bounds.after), _mark(bounds.before), since)

    def kept_since(self, now: datetime) -> int:
        """Return before when trades would be refused soon, at the provider's time `now`."""
        return micros_of(trade_fill.kept_since(self._row.market, now + REFUSAL_MARGIN))

    def gives_way(self) -> bool:
        """Return whether others of the provider's requests go first: a backfill of trades takes hours of calls."""
        return self._row.purpose == FetchRequest.Purpose.BACKFILL and fetch_queue.is_busy(
            self.provider.name, self._row.purpose
        )

    def advance(self, pages_left: int, begins: int | None = None) -> None:
        """Note that one more page is acknowledged; a consumer may have ended the request already.

        begins: the first of the ids asked for, once it is known.
        """
        self.pages_done += 1
        pages = self.pages_done, self.pages_done + pages_left
        if not fetch_queue.note_pages(self.id, self._worker, *pages, begins if self._row.first_id is None else None):
            self.over = True

    def fail(self, reason: str) -> None:
        """End the request: the venue does not have these trades any more."""
        fetch_queue.fail_fill(self.id, self._worker, reason)
        self.over = True


Lease = CandleLease | FillLease


def lease_of(request: FetchRequest, worker: str) -> Lease:
    """Hold a request of either kind."""
    kind = FillLease if request.resolution == FetchRequest.TRADES else CandleLease
    return kind(request, worker)


def _mark(trade: StoredTrade | None) -> TradeMark | None:
    return None if trade is None else TradeMark(int(trade.id), micros_of(trade.ts), trade.last)
