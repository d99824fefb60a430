"""The Datastore: from an application's question to its answer, along its chart.

1. Read. An answer that is whole, or lacks only what nobody can fetch now, walks the chart in memory.
2. Else one transaction asks for what is missing and makes the request's row, which waits for data.
3. The Coordinator ends the waiting (end_requests).
4. Whoever gives the answer ends the request (settle); after an hour nobody will come for it (expire_requests).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from datastore.models import DatastoreRequest, FetchRequest

State = DatastoreRequest.State
ACTIVE = (FetchRequest.State.QUEUED, FetchRequest.State.FETCHING, FetchRequest.State.PUBLISHED)
ANSWER_KEPT = timedelta(hours=1)
ROW_KEPT = timedelta(days=1)


def end_requests(fetch_ids: Collection[int] | None = None) -> int:
    """Fire DATA_FETCHED or DATA_FETCH_FAILED on the waiting requests all of whose fetches ended; return how many.

    Looks only at requests that wait for one of the given fetches; without them, at all that wait. Doing it again does
    nothing.
    """
    waiting = DatastoreRequest.objects.filter(state=State.WAITING_FOR_DATA).values_list("name", "fetches")
    return sum(_end(name) for name, fetches in waiting if fetch_ids is None or not set(fetches).isdisjoint(fetch_ids))


def _end(name: str) -> bool:
    with DatastoreRequest.locked(name) as request:
        if request.state != State.WAITING_FOR_DATA or active_fetches(request):
            return False  # somebody ended it first, or another of its fetches goes on
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
    return list(FetchRequest.objects.filter(pk__in=request.fetches, state__in=ACTIVE).order_by("id"))


def settle(names: Sequence[str], by: str) -> None:
    """End requests whose answer has been given: RETURN_DATA_SUCCESS, or RESET where they had failed."""
    for name in names:
        with DatastoreRequest.locked(name) as request:
            if request.state == State.RETURNING_DATA:
                request.return_data_success()
            elif request.state == State.ERROR:
                request.reset(by=by)
            else:
                continue  # somebody gave the answer first, or it waits for further data
            request.retired_at = timezone.now()


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
