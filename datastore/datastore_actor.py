"""The Datastore: from an application's question to its answer, along its chart.

1. Read. An answer that is whole, or misses only what nobody can fetch now, walks the chart in memory.
2. Else one transaction asks for what is missing and makes the request's row, which waits for data.
How a request ends is in requests/endings.py: the Coordinator ends the waiting, the process that gives the answer ends
the request, and after an hour nobody will come for it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import DatabaseError, transaction

from actor_runtime.journal.persistence import store
from actor_runtime.reset_policy import DATABASE_AWAY
from datastore.backfill import fetch_queue
from datastore.backfill.gap_repair import reopen
from datastore.backfill.quota import BudgetSpent, Spend
from datastore.backfill.trade_backfill import request_trades
from datastore.db.queries import fetch_value
from datastore.models import DatastoreRequest, FetchRequest, Market
from datastore.reference.provider_clock import steady_now
from datastore.requests.endings import active_fetches, end_answered_by, end_requests, unanswered
from datastore.requests.plan import MissingSpan, missing_spans, plan, provider_unavailable
from datastore.requests.wake import wait_until
from datastore.series.reader import Series

State = DatastoreRequest.State
READER = FetchRequest.Purpose.READER


@dataclass(frozen=True, slots=True)
class Answer:
    """A series, the request that brings what it misses, and why that is not waited for."""

    series: Series
    request: DatastoreRequest | None = None
    refusal: str | None = None

    @property
    def is_to_come(self) -> bool:
        """Return whether there is nothing yet, and a fetch is under way."""
        waits = self.request is not None and self.request.state == State.WAITING_FOR_DATA
        return waits and not self.series.count and self.refusal is None


def answer(
    market: Market,
    timeframe: str,
    read: Callable[[], Series],
    reach: datetime | None = None,
    wait: float = 0,
    spend: Spend | None = None,
) -> Answer:
    """Return what read() gives, having waited up to `wait` seconds for what has not been fetched before.

    With reach, what is missing is fetched up to there, not only as far as the series goes. `spend` takes the pages of
    a new fetch from the reader's budget; if that is used up, nothing is fetched. Raises DatabaseError.
    """
    request = DatastoreRequest(market=market.symbol, timeframe=timeframe)
    request.request_data()
    request.start_db_query()
    series = _read(request, read)
    fetch, refusal = plan(market, series, reach)
    if fetch:
        request.start, request.stop = series.start, max(series.stop, *(span.stop for span in fetch))
        try:
            waiting = _ask(request, market, fetch, READER, spend)
        except BudgetSpent as exc:
            waiting, refusal = None, str(exc)
        if waiting is not None:
            return _wait_for(waiting, series, read, reach, wait, refusal or provider_unavailable(waiting))
        if refusal is None:
            series = _read(request, read)  # it came between reading and asking

    request.db_query_success()
    request.return_what_was_found()
    request.return_data_success()
    if (series.market, series.timeframe) in unanswered:
        end_answered_by(series)
    return Answer(series, refusal=refusal)


def request_spans(
    market: Market,
    timeframe: str,
    spans: Sequence[MissingSpan],
    purpose: int,
    spend: Spend | None = None,
    *,
    again: bool = False,
) -> DatastoreRequest | None:
    """Ask for spans without reading them, as a backfill does; return the request that waits.

    None if there is nothing to fetch: all is there, or is final; with `again` what is final is asked for once more.
    Already under way: the same request, or one that waits for the same fetches. Raises what `spend` raises for the
    pages of a new fetch, with nothing asked for; DatabaseError.
    """
    if not spans:
        return None
    request = DatastoreRequest(market=market.symbol, timeframe=timeframe)
    request.start, request.stop = min(span.start for span in spans), max(span.stop for span in spans)
    request.request_data()
    request.start_db_query()
    return _ask(request, market, spans, purpose, spend, again)


def request_trade_history(market: Market, start: datetime, stop: datetime) -> DatastoreRequest | None:
    """Ask for the trades of [start, stop), as a backfill of trades does; return the request that waits.

    None if nothing is missing. Raises CannotBackfill, DatabaseError.
    """
    request = DatastoreRequest(market=market.symbol, timeframe="1m", start=start, stop=stop)
    request.request_data()
    request.start_db_query()
    with transaction.atomic():
        waiting = _waiting(request, [fetch.pk for fetch in request_trades(market, start, stop)])
    return _begun(waiting)


def _read(request: DatastoreRequest, read: Callable[[], Series]) -> Series:
    """Return what read() gives; if the database refuses the query, keep the request's row with the reason."""
    try:
        return read()
    except DATABASE_AWAY:
        raise  # the database is away: it cannot keep a row of it either
    except DatabaseError as exc:
        _name(request)
        request.db_query_failure(reason=str(exc).partition("\n")[0])
        request.reset(by="its reader was notified")
        request.retired_at = steady_now()
        with transaction.atomic():
            _insert(request)
        raise


def _ask(
    request: DatastoreRequest,
    market: Market,
    spans: Sequence[MissingSpan],
    purpose: int,
    spend: Spend | None,
    again: bool = False,
) -> DatastoreRequest | None:
    """Ask for the spans; return the request that waits for them, None if there is nothing to fetch."""
    with transaction.atomic():
        found: set[int] = set()
        for span in spans:
            if again:
                reopen(market, span.resolution, span.start, span.stop)
            bounds = (market, span.resolution, span.start, span.stop)
            fetches = fetch_queue.active(*bounds)
            # Making a new fetch, or a more urgent one of an old one, locks the market.
            if fetch_queue.not_yet_requested(*bounds) or fetches.filter(purpose__gt=purpose).exists():
                found.update(fetch.pk for fetch in fetch_queue.enqueue(*bounds, purpose, spend))
            else:
                found.update(fetches.values_list("pk", flat=True))
        waiting = _waiting(request, found)
    return _begun(waiting)


def _waiting(request: DatastoreRequest, found: Collection[int]) -> DatastoreRequest | None:
    """Let the request wait for these fetches, and return it, or the one that does already; None without any."""
    if not found:
        return None
    request.fetches = sorted(found)
    same = DatastoreRequest.objects.filter(
        state=State.WAITING_FOR_DATA,
        market=request.market,
        timeframe=request.timeframe,
        fetches__contains=request.fetches,
    ).first()
    if same is not None:
        return same
    _name(request)
    request.db_query_empty()
    request.ask_for_what_is_missing()
    request.fetch_instructions_sent()
    _insert(request)
    return request


def _begun(waiting: DatastoreRequest | None) -> DatastoreRequest | None:
    """Return what was made; end it if its fetches ended before the Coordinator could see it."""
    if waiting is not None and not active_fetches(waiting):
        end_requests(waiting.fetches)
    return waiting


def _wait_for(
    request: DatastoreRequest,
    series: Series,
    read: Callable[[], Series],
    reach: datetime | None,
    wait: float,
    refusal: str | None,
) -> Answer:
    """Return what there is when the request has ended or `wait` seconds are over; at once if there is a refusal."""
    waits = wait and refusal is None
    if waits:
        rows = DatastoreRequest.objects.filter(pk=request.pk, state=State.WAITING_FOR_DATA)
        wait_until(lambda: not rows.exists(), wait)
    found = DatastoreRequest.objects.get(pk=request.pk)
    if waits or found.state != State.WAITING_FOR_DATA:
        series = read()
    unanswered.add((found.market, found.timeframe))
    end_answered_by(series)
    runs_or_failed = found.state in (State.WAITING_FOR_DATA, State.ERROR) and missing_spans(series, reach)
    return Answer(series, found if runs_or_failed else None, refusal)


def _name(request: DatastoreRequest) -> None:
    """Take the next number: what the log says from here on is about this request."""
    request.pk = fetch_value("select nextval(pg_get_serial_sequence(%s, 'id'))", [request._meta.db_table])
    request.name = f"request-{request.pk}"
    request.created_at = steady_now()


def _insert(request: DatastoreRequest) -> None:
    """Write the request's row with the transitions that it made in memory."""
    request.save(force_insert=True)
    store(request, request.epoch)
