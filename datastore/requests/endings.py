"""How the Datastore's requests end: by their fetches, by their answer, or because nobody came for it.

1. The Coordinator ends the waiting (end_requests).
2. The process that gives the answer ends the request (end_answered); after an hour nobody will come for it
   (expire_requests).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta

from django.db.models import Q

from datastore.backfill import fetch_queue
from datastore.models import DatastoreRequest, FetchRequest
from datastore.reference.provider_clock import steady_now
from datastore.series.reader import Series

State = DatastoreRequest.State
ANSWER_LIFETIME = timedelta(hours=1)
ROW_LIFETIME = timedelta(days=1)
MAX_LOCKED = 200  # rows of one transaction
# (symbol, timeframe) of requests of this process whose reader may have gone before the answer came. Those of another
# process are ended by requests/{id} or by time.
unanswered: set[tuple[str, str]] = set()


def active_fetches(request: DatastoreRequest) -> list[FetchRequest]:
    """Return the fetches that the request still waits for."""
    return list(FetchRequest.objects.filter(pk__in=request.fetches, state__in=fetch_queue.ACTIVE).order_by("id"))


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
    names = [name for name, fetches in over if fetch_ids is None or not fetches.isdisjoint(fetch_ids)]

    ended = 0
    for chunk in _in_chunks(names):
        with DatastoreRequest.locked_all(chunk) as locked:
            requests = [request for request in locked if request.state == State.WAITING_FOR_DATA]
            found = FetchRequest.objects.in_bulk({pk for request in requests for pk in request.fetches})
            now = steady_now()
            for request in requests:
                ended += _end_waiting(request, [found[pk] for pk in sorted(request.fetches) if pk in found], now)
    return ended


def _end_waiting(request: DatastoreRequest, fetches: Sequence[FetchRequest], now: datetime) -> bool:
    """End the waiting of a request by how its fetches ended; False if one of them has been begun again."""
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


def end_answered_by(series: Series) -> None:
    """End the requests of this process that this series answers, also those whose reader went away before."""
    rows = DatastoreRequest.objects.filter(market=series.market, timeframe=series.timeframe, retired_at=None)
    over = rows.filter(state__in=[State.RETURNING_DATA, State.ERROR], start__lt=series.stop, stop__gt=series.start)
    end_answered(list(over.values_list("name", flat=True)), by="its reader was answered")
    if not rows.exclude(state=State.IDLE).exists():
        unanswered.discard((series.market, series.timeframe))


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


def _in_chunks(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the names a few hundred at a time: no transaction locks more rows."""
    return (names[at : at + MAX_LOCKED] for at in range(0, len(names), MAX_LOCKED))
