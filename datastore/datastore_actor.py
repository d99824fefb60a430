"""The Datastore: from an application's question to its answer, along its chart.

1. Read. An answer that is whole, or lacks only what nobody can fetch now, walks the chart in memory.
2. Else one transaction asks for what is missing and makes the request's row, which waits for data.
3. The Coordinator ends the waiting (end_requests).
4. Whoever gives the answer ends the request (settle); after an hour nobody will come for it (expire_requests).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import DatabaseError, InterfaceError, OperationalError, transaction
from django.db.models import Q
from django.utils import timezone

from actor_runtime.journal.persistence import store
from datastore.backfill import fetch_queue
from datastore.backfill.quota import BudgetSpent, Spend
from datastore.db.queries import fetch_value
from datastore.models import DatastoreRequest, FetchRequest, Market
from datastore.requests.fetchable import fetchable_spans, provider_away
from datastore.requests.missing import MissingSpan, missing_spans
from datastore.requests.wake import wait_until
from datastore.series.reader import Series

State = DatastoreRequest.State
READER = FetchRequest.Purpose.READER
ANSWER_KEPT = timedelta(hours=1)
ROW_KEPT = timedelta(days=1)
# Questions that went away before their answer came; another process's are ended by requests/{id} or by time.
_unanswered: set[tuple[str, str]] = set()


@dataclass(frozen=True, slots=True)
class Answer:
    """A series, the request that brings what it lacks, and why that is not waited for."""

    series: Series
    request: DatastoreRequest | None = None
    refusal: str | None = None

    @property
    def is_to_come(self) -> bool:
        """Tell whether there is nothing yet, and a fetch is under way."""
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
    """Return what read() gives, having waited up to `wait` seconds for what nobody has yet tried to fetch.

    With reach, what is missing is fetched up to there, not only as far as the series goes. `spend` takes the pages of
    a new fetch from the asker's budget; where that is used up, nothing is fetched. Raises DatabaseError.
    """
    request = DatastoreRequest(market=market.symbol, timeframe=timeframe)
    request.request_data()
    request.start_db_query()
    series = _queried(request, read)
    lacks, refusal = fetchable_spans(market, missing_spans(series, reach))
    kept = None
    if lacks:
        try:
            kept = _requested(request, market, series, lacks, spend)
        except BudgetSpent as exc:
            refusal = str(exc)
    if kept is not None:
        refusal = refusal or provider_away(kept)
        return _awaited(Answer(series, kept, refusal), kept, read, reach, 0 if refusal else wait)
    if lacks and refusal is None:
        series = _queried(request, read)  # it came between reading and asking
    request.db_query_success()
    request.return_what_was_found()
    request.return_data_success()
    _settle_unanswered(series)
    return Answer(series, refusal=refusal)


def _awaited(
    so_far: Answer, request: DatastoreRequest, read: Callable[[], Series], reach: datetime | None, wait: float
) -> Answer:
    """Return what there is when the request has ended or the time is over."""
    series = so_far.series
    if wait:
        wait_until(lambda: not _is_waiting(request), wait)
    found = DatastoreRequest.objects.get(pk=request.pk)
    if wait or found.state != State.WAITING_FOR_DATA:
        series = read()
    _unanswered.add((found.market, found.timeframe))
    _settle_unanswered(series)
    goes_on_or_failed = found.state in (State.WAITING_FOR_DATA, State.ERROR) and missing_spans(series, reach)
    return Answer(series, found if goes_on_or_failed else None, so_far.refusal)


def _queried(request: DatastoreRequest, read: Callable[[], Series]) -> Series:
    try:
        return read()
    except (OperationalError, InterfaceError):
        raise  # the database is away: it cannot keep a row of it either
    except DatabaseError as exc:
        _name(request)
        request.db_query_failure(reason=str(exc).partition("\n")[0])
        request.reset(by="its reader was told")
        request.retired_at = timezone.now()
        with transaction.atomic():
            _keep(request)
        raise


def _requested(
    request: DatastoreRequest, market: Market, series: Series, lacks: Sequence[MissingSpan], spend: Spend | None
) -> DatastoreRequest | None:
    """Ask for the lacks and return the request that waits for them; None where there is nothing to fetch."""
    request.start = series.start
    request.stop = max(series.stop, *(lack.stop for lack in lacks))
    return _ask(request, market, lacks, READER, spend)


def order(
    market: Market, timeframe: str, lacks: Sequence[MissingSpan], purpose: int, spend: Spend | None = None
) -> DatastoreRequest | None:
    """Ask for spans without reading them, as a backfill does; return the request that waits, None where all is there.

    Already under way: the same request, or one that waits for the same fetches. Raises what `spend` raises for the
    pages of a new fetch, with nothing asked for.
    """
    request = DatastoreRequest(market=market.symbol, timeframe=timeframe)
    request.start, request.stop = min(lack.start for lack in lacks), max(lack.stop for lack in lacks)
    request.request_data()
    request.start_db_query()
    return _ask(request, market, lacks, purpose, spend)


def _ask(
    request: DatastoreRequest, market: Market, lacks: Sequence[MissingSpan], purpose: int, spend: Spend | None
) -> DatastoreRequest | None:
    with transaction.atomic():
        found = [fetch.pk for lack in lacks for fetch in _under_way(market, lack, purpose, spend)]
        if not found:
            return None
        request.fetches = sorted(set(found))
        if (same := _same_question(request)) is not None:
            return same
        _name(request)
        request.db_query_empty()
        request.ask_for_what_is_missing()
        request.fetch_instructions_sent()
        _keep(request)
    if not active_fetches(request):
        end_requests(request.fetches)  # they ended before the row could be seen by the Coordinator
    return request


def _under_way(market: Market, lack: MissingSpan, purpose: int, spend: Spend | None) -> list[FetchRequest]:
    """Return the fetches that bring a part of it, new ones too. Locks the market only where there is one to make."""
    span = (market, lack.resolution, lack.start, lack.stop)
    if fetch_queue.not_yet_requested(*span) or fetch_queue.active(*span).filter(purpose__gt=purpose).exists():
        return fetch_queue.enqueue(*span, purpose, spend)
    return list(fetch_queue.active(*span))


def _same_question(request: DatastoreRequest) -> DatastoreRequest | None:
    return DatastoreRequest.objects.filter(
        state=State.WAITING_FOR_DATA,
        market=request.market,
        timeframe=request.timeframe,
        fetches__contains=request.fetches,
    ).first()


def _name(request: DatastoreRequest) -> None:
    """Take the next number: what the log says from here on is about this request."""
    request.pk = fetch_value("select nextval(pg_get_serial_sequence(%s, 'id'))", [request._meta.db_table])
    request.name = f"request-{request.pk}"


def _keep(request: DatastoreRequest) -> None:
    """Write the request's row with the transitions that it made in memory."""
    request.save(force_insert=True)
    store(request, request.epoch)


def _is_waiting(request: DatastoreRequest) -> bool:
    return DatastoreRequest.objects.filter(pk=request.pk, state=State.WAITING_FOR_DATA).exists()


def end_requests(fetch_ids: Collection[int] | None = None) -> int:
    """Fire DATA_FETCHED or DATA_FETCH_FAILED on the waiting requests all of whose fetches ended; return how many.

    Looks only at requests that wait for one of the given fetches; without them, at all that wait. Doing it again does
    nothing.
    """
    waiting = list(DatastoreRequest.objects.filter(state=State.WAITING_FOR_DATA).values_list("name", "fetches"))
    named = {pk for _, awaited in waiting for pk in awaited}
    goes_on = set(FetchRequest.objects.filter(pk__in=named, state__in=fetch_queue.ACTIVE).values_list("pk", flat=True))
    over = [(name, set(awaited)) for name, awaited in waiting if goes_on.isdisjoint(awaited)]
    return sum(_end(name) for name, awaited in over if fetch_ids is None or not awaited.isdisjoint(fetch_ids))


def _end(name: str) -> bool:
    with DatastoreRequest.locked(name) as request:
        if request.state != State.WAITING_FOR_DATA or active_fetches(request):
            return False  # somebody ended it first
        failed = FetchRequest.objects.filter(pk__in=request.fetches, state=FetchRequest.State.FAILED).first()
        if failed is None:
            request.returning_since = timezone.now()
            request.data_fetched()
        else:
            request.reset_at = timezone.now() + ANSWER_KEPT
            request.data_fetch_failed(reason=failed.error or "the fetch failed", by=failed.worker)
    return True


def active_fetches(request: DatastoreRequest) -> list[FetchRequest]:
    """Return the fetches that the request still waits for."""
    return list(FetchRequest.objects.filter(pk__in=request.fetches, state__in=fetch_queue.ACTIVE).order_by("id"))


def settle(names: Sequence[str], by: str) -> None:
    """End requests whose answer has been given: RETURN_DATA_SUCCESS, or RESET where they had failed."""
    for name in names:
        with suppress(DatastoreRequest.DoesNotExist), DatastoreRequest.locked(name) as request:
            if request.state == State.RETURNING_DATA:
                request.return_data_success()
            elif request.state == State.ERROR:
                request.reset(by=by)
            else:
                continue  # somebody gave the answer first, or it waits for further data
            request.retired_at = timezone.now()


def is_awaited(symbol: str, timeframe: str) -> bool:
    """Tell whether a request of this process waits for somebody to be answered about this series."""
    return (symbol, timeframe) in _unanswered


def _settle_unanswered(series: Series) -> None:
    """End the requests of this process whose question this answers, also those whose reader went away before."""
    key = (series.market, series.timeframe)
    if key not in _unanswered:
        return
    rows = DatastoreRequest.objects.filter(market=key[0], timeframe=key[1], retired_at=None)
    over = rows.filter(state__in=[State.RETURNING_DATA, State.ERROR], start__lt=series.stop, stop__gt=series.start)
    settle(list(over.values_list("name", flat=True)), by="its reader was answered")
    if not rows.exclude(state=State.IDLE).exists():
        _unanswered.discard(key)


def expire_requests() -> int:
    """End answers that nobody came for within an hour, forget requests a day old; return how many were ended."""
    late = timezone.now() - ANSWER_KEPT
    overdue = DatastoreRequest.objects.filter(
        Q(state=State.RETURNING_DATA, returning_since__lte=late) | Q(state=State.ERROR, reset_at__lte=timezone.now())
    )
    ended = sum(_expire(name) for name in overdue.values_list("name", flat=True))
    DatastoreRequest.objects.filter(state=State.IDLE, created_at__lte=timezone.now() - ROW_KEPT).delete()
    return ended


def _expire(name: str) -> bool:
    with DatastoreRequest.locked(name) as request:
        if request.state == State.RETURNING_DATA:
            request.return_data_failure(reason="nobody came for the answer within an hour")
        elif request.state == State.ERROR:
            request.reset(by="expiry after an hour")
        else:
            return False
        request.retired_at = timezone.now()
    return True
