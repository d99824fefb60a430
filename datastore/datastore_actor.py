"""The Datastore: from an application's question to its answer, along its chart.

1. Read. An answer that is whole, or misses only what nobody can fetch now, walks the chart in memory.
2. Else one transaction asks for what is missing and makes the request's row, which waits for data.
3. The Coordinator ends the waiting (end_requests).
4. The process that gives the answer ends the request (end_answered); after an hour nobody will come for it
   (expire_requests).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import DatabaseError, transaction
from django.db.models import Q

from actor_runtime.journal.persistence import store
from actor_runtime.reset_policy import DATABASE_AWAY
from datastore.backfill import fetch_queue
from datastore.backfill.gap_repair import reopen
from datastore.backfill.quota import BudgetSpent, Spend
from datastore.backfill.trade_backfill import request_trades
from datastore.db.queries import fetch_value
from datastore.models import DatastoreRequest, FetchRequest, Market
from datastore.reference.provider_clock import steady_now
from datastore.requests.plan import MissingSpan, missing_spans, plan, provider_unavailable
from datastore.requests.wake import wait_until
from datastore.series.reader import Series

State = DatastoreRequest.State
READER = FetchRequest.Purpose.READER
ANSWER_LIFETIME = timedelta(hours=1)
ROW_LIFETIME = timedelta(days=1)
MAX_LOCKED = 200  # rows of one transaction
# (symbol, timeframe) of requests of this process whose reader may have gone before the answer came. Those of another
# process are ended by requests/{id} or by time.
unanswered: set[tuple[str, str]] = set()


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
        _end_answered_by(series)
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


def end_requests(fetch_ids: Collection[int] | None = None) -> int:
    """Fire DATA_FETCHED or DATA_FETCH_FAILED on the waiting requests all of whose fetches ended; return how many.

    Looks only at requests that wait for one of the given fetches; without them, at all that wait. Doing it again does
    nothing. Locks each request's row. Raises DatabaseError.
    """
    waiting = list(DatastoreRequest.objects.filter(state=State.WAITING_FOR_DATA).values_list("name", "fetches"))
    awaited = {pk for _, fetches in waiting for pk in fetches}
    running = set(
        FetchRequest.objects.filter(pk__in=awaited, state__in=fetch_queue.ACTIVE).values_list("pk", flat=True)
    )
    over = [(name, set(fetches)) for name, fetches in waiting if running.isdisjoint(fetches)]
    return _end([name for name, fetches in over if fetch_ids is None or not fetches.isdisjoint(fetch_ids)])


def active_fetches(request: DatastoreRequest) -> list[FetchRequest]:
    """Return the fetches that the request still waits for."""
    return list(FetchRequest.objects.filter(pk__in=request.fetches, state__in=fetch_queue.ACTIVE).order_by("id"))


def end_answered(names: Sequence[str], by: str) -> None:
    """End requests whose answer has been given: RETURN_DATA_SUCCESS, or RESET for those that had failed.

    Locks each request's row; one that does not exist is skipped. Raises DatabaseError.
    """
    if not names:
        return
    now = steady_now()
    with DatastoreRequest.locked_all(names) as requests:
        for request in requests:
            if request.state == State.RETURNING_DATA:
                request.return_data_success()
            elif request.state == State.ERROR:
                request.reset(by=by)
            else:
                continue  # another process gave the answer first, or it waits for further data
            request.retired_at = now


def expire_requests() -> int:
    """End answers that nobody came for within an hour, delete requests a day old; return how many were ended."""
    now = steady_now()
    overdue = DatastoreRequest.objects.filter(
        Q(state=State.RETURNING_DATA, returning_since__lte=now - ANSWER_LIFETIME)
        | Q(state=State.ERROR, reset_at__lte=now)
    )
    ended = 0
    for names in _in_chunks(list(overdue.values_list("name", flat=True))):
        with DatastoreRequest.locked_all(names) as requests:
            for request in requests:
                if request.state == State.RETURNING_DATA:
                    request.return_data_failure(reason="nobody came for the answer within an hour")
                elif request.state == State.ERROR:
                    request.reset(by="expiry after an hour")
                else:
                    continue
                request.retired_at = now
                ended += 1
    DatastoreRequest.objects.filter(state=State.IDLE, created_at__lte=now - ROW_LIFETIME).delete()
    return ended


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
    _end_answered_by(series)
    runs_or_failed = found.state in (State.WAITING_FOR_DATA, State.ERROR) and missing_spans(series, reach)
    return Answer(series, found if runs_or_failed else None, refusal)


def _end_answered_by(series: Series) -> None:
    """End the requests of this process that this series answers, also those whose reader went away before."""
    rows = DatastoreRequest.objects.filter(market=series.market, timeframe=series.timeframe, retired_at=None)
    over = rows.filter(state__in=[State.RETURNING_DATA, State.ERROR], start__lt=series.stop, stop__gt=series.start)
    end_answered(list(over.values_list("name", flat=True)), by="its reader was answered")
    if not rows.exclude(state=State.IDLE).exists():
        unanswered.discard((series.market, series.timeframe))


def _end(names: Sequence[str]) -> int:
    """End waiting requests by how their fetches ended; return how many no other process ended first."""
    ended = 0
    for chunk in _in_chunks(names):
        with DatastoreRequest.locked_all(chunk) as locked:
            requests = [request for request in locked if request.state == State.WAITING_FOR_DATA]
            fetches = FetchRequest.objects.in_bulk({pk for request in requests for pk in request.fetches})
            now = steady_now()
            for request in requests:
                ended += _end_one(request, [fetches[pk] for pk in sorted(request.fetches) if pk in fetches], now)
    return ended


def _end_one(request: DatastoreRequest, fetches: Sequence[FetchRequest], now: datetime) -> bool:
    if any(fetch.state in fetch_queue.ACTIVE for fetch in fetches):
        return False
    failed = [fetch for fetch in fetches if fetch.state == FetchRequest.State.FAILED]
    if not failed:
        request.returning_since = now
        request.data_fetched()
    else:
        request.reset_at = now + ANSWER_LIFETIME
        request.data_fetch_failed(reason=failed[-1].error or "the fetch failed", by=failed[-1].worker)
    return True


def _in_chunks(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the names a few hundred at a time: no transaction locks more rows."""
    return (names[at : at + MAX_LOCKED] for at in range(0, len(names), MAX_LOCKED))


def _name(request: DatastoreRequest) -> None:
    """Take the next number: what the log says from here on is about this request."""
    request.pk = fetch_value("select nextval(pg_get_serial_sequence(%s, 'id'))", [request._meta.db_table])
    request.name = f"request-{request.pk}"
    request.created_at = steady_now()


def _insert(request: DatastoreRequest) -> None:
    """Write the request's row with the transitions that it made in memory."""
    request.save(force_insert=True)
    store(request, request.epoch)
