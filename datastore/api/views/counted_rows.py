"""So many rows of a series, however many buckets without one lie between them; what is missing is fetched.

Clients of other interfaces count rows: one that gets fewer than it asked for takes that for the end of the data.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from time import monotonic

from rest_framework.request import Request

from datastore.api.auth.permissions import spend_quota
from datastore.api.params.parameter import DEFAULT_WAIT_S
from datastore.api.views.candles import MAX_FETCH_BUCKETS
from datastore.datastore_actor import Answer, answer
from datastore.db.queries import fetch_value
from datastore.db.sql_files import statement
from datastore.models import Market
from datastore.series.reader import Series, read_series
from datastore.series.row_format import Shape
from datastore.timeframes.timeframe import TIMEFRAMES, Timeframe

MIN_PAGE_BUCKETS = 500  # of all pages but the first
MAX_PAGES = 4  # of one question: more stretches without a row than these end it early


@dataclass(frozen=True, slots=True)
class CountedRows:
    """Rows ascending, as texts of the shape asked for, and the first page that was read of them.

    is_whole: nothing of it is being fetched or cannot be fetched now. is_to_come: there is no row yet, but a fetch.
    """

    rows: list[str]
    first: Series
    is_whole: bool
    is_to_come: bool = False


@dataclass(slots=True)
class RowReader:
    """Reads one series for one request, which pays for what is fetched and waits for it, not longer than in all."""

    request: Request
    market: Market
    timeframe: str
    shape: Shape
    _until: float = field(default_factory=lambda: monotonic() + DEFAULT_WAIT_S)

    @property
    def frame(self) -> Timeframe:
        """Return the timeframe itself."""
        return TIMEFRAMES[self.timeframe]

    def until(self, stop: datetime | None, count: int) -> CountedRows:
        """Return the newest `count` rows of the buckets before stop; None: up to the open one. Raises DatabaseError."""
        first = found = self._page(None, stop, count)
        rows, whole = self._rows(found.series), _is_whole(found)
        for number in range(1, MAX_PAGES):
            start = found.series.start
            if len(rows) >= count or found.is_to_come:
                break
            # Of a market that nobody has asked for, the newest buckets may still be pending: then nothing is fetched by
            # the first page.
            is_new = number == 1 and not rows and whole
            if not is_new and stored_before(self.market, self.timeframe, start) is None:
                break
            found = self._page(None, start, max(count - len(rows), MIN_PAGE_BUCKETS))
            rows, whole = [*self._rows(found.series), *rows], whole and _is_whole(found)
        return CountedRows(rows[-count:], first.series, whole, found.is_to_come and not rows)

    def within(self, stop: datetime | None, count: int) -> CountedRows:
        """Return the rows of the newest `count` buckets before stop. Raises DatabaseError."""
        found = self._page(None, stop, count)
        return CountedRows(self._rows(found.series), found.series, _is_whole(found), found.is_to_come)

    def between(self, start: datetime, stop: datetime, count: int) -> CountedRows:
        """Return the oldest `count` rows of the buckets of [start, stop). Raises DatabaseError."""
        first = found = self._page(start, stop, count)
        rows, whole = self._rows(found.series), _is_whole(found)
        for _ in range(MAX_PAGES - 1):
            end = found.series.stop
            if len(rows) >= count or not whole or end >= stop:
                break
            if found.series.count:
                found = self._page(end, stop, max(count - len(rows), MIN_PAGE_BUCKETS))
            else:
                found = self._behind_empty_page(end, stop, max(count - len(rows), MIN_PAGE_BUCKETS))
            rows, whole = [*rows, *self._rows(found.series)], _is_whole(found)
        return CountedRows(rows[:count], first.series, whole, found.is_to_come and not rows)

    def _behind_empty_page(self, end: datetime, stop: datetime, count: int) -> Answer:
        """Return the next page that may have rows; what is missing on the way to it is fetched first.

        A client that gets no row would take that for the end of the data.
        """
        reach = min(stop, end + MAX_FETCH_BUCKETS * timedelta(seconds=self.frame.base))
        found = self._page(end, stop, count, reach)
        if found.series.count or not _is_whole(found):
            return found
        oldest = stored_from(self.market, self.timeframe, found.series.stop)
        return found if oldest is None or oldest >= stop else self._page(oldest, stop, count)

    def _page(self, start: datetime | None, stop: datetime | None, limit: int, reach: datetime | None = None) -> Answer:
        read = partial(read_series, self.market, self.timeframe, start, stop, limit=limit, shape=self.shape)
        wait = max(self._until - monotonic(), 0)
        return answer(self.market, self.timeframe, read, reach, wait, partial(spend_quota, self.request._request))

    def _rows(self, series: Series) -> list[str]:
        return series.text.split(self.shape.between) if series.text else []


def stored_before(market: Market, timeframe: str, start: datetime) -> datetime | None:
    """Return the open time of the newest stored row before a time, of the timeframe's resolution or a finer one."""
    values = {"market": market.pk, "resolution": TIMEFRAMES[timeframe].base, "before": start}
    found: datetime | None = fetch_value(statement("known", "newest_before"), values)
    return found


def stored_from(market: Market, timeframe: str, start: datetime) -> datetime | None:
    """Return the open time of the oldest stored row from a time on, of the timeframe's resolution or a finer one."""
    values = {"market": market.pk, "resolution": TIMEFRAMES[timeframe].base, "from": start}
    found: datetime | None = fetch_value(statement("known", "oldest_from"), values)
    return found


def _is_whole(found: Answer) -> bool:
    return found.request is None and found.refusal is None
