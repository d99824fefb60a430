"""Requests for the provider's history: one row per span, from the queue to the database.

Adding a request locks the market, so nothing is fetched twice; a job holds its row by a lease that it renews. All times
in a row are the database's. The consumer that stores the answer ends a request (history_write.py, trade_fill.py); a job
only one for trades that the venue does not have.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, F, Q, QuerySet

from actor_runtime.ownership.claims import abandoned_claims
from actor_runtime.redaction import without_secrets
from actor_runtime.steady_time import SteadyNow
from datastore.backfill.quota import Spend
from datastore.coverage.gaps import final_gaps, missing
from datastore.db.news import Subject, tell
from datastore.models import FetchRequest, Market
from datastore.reference.provider_registry import traits_of
from datastore.timeframes.intervals import Interval, clip, micros_of, moment, subtract, union
from datastore.timeframes.timeframe import BASE

LEASE = timedelta(seconds=30)
# A request that was handed out but not started is due again after this: the message to the worker may be lost.
REDISPATCH_AFTER = timedelta(seconds=15)
# A failed span is not requested again sooner: each poll of an impatient reader would cost the provider a call.
RETRY_FAILED_AFTER = timedelta(minutes=1)

State = FetchRequest.State
Purpose = FetchRequest.Purpose
ACTIVE = FetchRequest.ACTIVE
Span = tuple[datetime, datetime]


def not_yet_requested(market: Market, resolution: int, start: datetime, stop: datetime) -> list[Span]:
    """Return the spans of [start, stop), in whole buckets of a resolution, that only a new request can bring.

    Left out is what is proven, what the provider cannot answer for finally yet, what it can never answer for, and what
    is being fetched.
    """
    bounds = _whole_buckets(resolution, start, stop)
    requested = union(_interval(request) for request in active(market, resolution, *bounds))
    return [
        (moment(low), moment(high)) for low, high in subtract(_fetchable_gaps(market, resolution, bounds), requested)
    ]


def enqueue(
    market: Market, resolution: int, start: datetime, stop: datetime, purpose: int, spend: Spend | None = None
) -> list[FetchRequest]:
    """Request what is missing of [start, stop); return every active request that will bring a part of it.

    Requests under way take the more urgent purpose. The market stays locked to the end of the transaction. If `spend`
    raises for the pages of a new request, nothing is requested.
    """
    bounds = _whole_buckets(resolution, start, stop)
    with transaction.atomic():
        Market.objects.select_for_update(no_key=True).get(pk=market.pk)
        known = list(active(market, resolution, *bounds).select_for_update())
        slow = [request for request in known if request.purpose > purpose]
        for request in slow:
            request.purpose = purpose
        FetchRequest.objects.filter(pk__in=[request.pk for request in slow]).update(purpose=purpose)

        requested = union(_interval(request) for request in known)
        gaps = subtract(_fetchable_gaps(market, resolution, bounds), requested)
        separators = union([*requested, *final_gaps(market, resolution, *bounds)])
        added = [
            _add(market, resolution, (moment(low), moment(high)), purpose, spend)
            for low, high in _join_into_pages(gaps, separators, _page(market, resolution))
        ]
        return list({request.pk: request for request in [*known, *added]}.values())


def active(market: Market, resolution: int, start: datetime, stop: datetime) -> QuerySet[FetchRequest]:
    """Return the requests under way that overlap [start, stop), the oldest first."""
    found = FetchRequest.objects.filter(market=market, resolution=resolution, state__in=ACTIVE)
    return found.filter(start__lt=stop, stop__gt=start).order_by("id")


def recent_failure(market: Market, resolution: int, start: datetime, stop: datetime) -> str | None:
    """Return why fetching a part of [start, stop) failed within the last minute, None if nothing failed."""
    failed = FetchRequest.objects.filter(
        market=market,
        resolution=resolution,
        state=State.FAILED,
        start__lt=stop,
        stop__gt=start,
        finished_at__gt=SteadyNow() - RETRY_FAILED_AFTER,
    ).first()
    return (failed.error or "the fetch failed") if failed else None


def due(limit: int) -> list[FetchRequest]:
    """Return up to `limit` queued requests that are due, the most urgent first."""
    return list(_due().select_related("market").order_by("purpose", "id")[:limit])


def is_busy(provider: str, purpose: int) -> bool:
    """Return whether more urgent requests of a provider are due or being fetched."""
    urgent = _due() | FetchRequest.objects.filter(state=State.FETCHING)
    return urgent.filter(market__provider=provider, purpose__lt=purpose).exists()


def hand_out(request_id: int) -> bool:
    """Note that a due request is sent to a worker; return False if another process did so first."""
    return bool(_due().filter(pk=request_id).update(next_try=SteadyNow() + REDISPATCH_AFTER))


def start(request_id: int, worker: str) -> FetchRequest | None:
    """Start a queued request, or one whose lease ran out; return None if it is held, published or ended."""
    free = Q(state=State.QUEUED) | Q(state=State.FETCHING, lease_until__lt=SteadyNow())
    started = FetchRequest.objects.filter(free, pk=request_id).update(
        state=State.FETCHING,
        worker=worker,
        lease_until=SteadyNow() + LEASE,
        next_try=None,
        dispatched=F("dispatched") + 1,
    )
    return FetchRequest.objects.select_related("market").get(pk=request_id) if started else None


def renew(request_id: int, worker: str) -> bool:
    """Renew the lease; return False if the job has lost its request and must stop."""
    return bool(_held(request_id, worker).update(lease_until=SteadyNow() + LEASE))


def note_progress(request_id: int, worker: str, reached: datetime, pages_done: int, pages_total: int) -> bool:
    """Note that all of [reached, stop) is published and acknowledged, and renew the lease.

    Return False if the job has lost its request and must stop.
    """
    progress = {"reached": reached, "pages_done": pages_done, "pages_total": pages_total}
    return bool(_held(request_id, worker).update(lease_until=SteadyNow() + LEASE, error=None, **progress))


def note_pages(request_id: int, worker: str, done: int, total: int, first_id: int | None = None) -> bool:
    """Note how many pages of a fill are acknowledged; return False if the job has lost its request and must stop.

    first_id: with which id the trades begin that were asked for by time; from then on they are known by their ids.
    """
    begins = {} if first_id is None else {"first_id": first_id}
    return bool(_held(request_id, worker).update(pages_done=done, pages_total=total, error=None, **begins))


def shorten(request_id: int, worker: str, stop: datetime) -> bool:
    """Leave out what lies at or behind `stop`; return False if the job has lost its request."""
    return bool(_held(request_id, worker).update(stop=stop))


def mark_published(request_id: int, worker: str) -> bool:
    """Note that the request's last record is acknowledged; return False if it has ended or another job has it."""
    return bool(_held(request_id, worker).update(state=State.PUBLISHED, published_at=SteadyNow(), lease_until=None))


def note_error(request_id: int, worker: str, error: str) -> bool:
    """Note what holds a job up, until its next progress; return False if the job has lost its request."""
    return bool(_held(request_id, worker).update(error=without_secrets(error)))


def fail_fill(request_id: int, worker: str, reason: str) -> bool:
    """End a fill that the venue cannot answer; its candles are asked for instead. False if the job has lost it."""
    held = _held(request_id, worker)
    return bool(held.update(state=State.FAILED, error=reason, lease_until=None, finished_at=SteadyNow()))


def requeue(request_id: int, worker: str, error: str, wait: timedelta) -> bool:
    """Queue the request again, not to be started before `wait` is over; return False if the job has lost it."""
    held = _held(request_id, worker)
    shown = without_secrets(error)
    return bool(held.update(state=State.QUEUED, error=shown, next_try=SteadyNow() + wait, lease_until=None))


def hurry(request_ids: Sequence[int]) -> int:
    """Let queued requests be handed out at once, whatever they wait for; return how many."""
    waiting = FetchRequest.objects.filter(pk__in=request_ids, state=State.QUEUED).exclude(next_try=None)
    return waiting.update(next_try=None)


def expire_leases() -> int:
    """Queue the requests of jobs that stopped renewing or whose process is gone; return how many."""
    fetching = FetchRequest.objects.filter(state=State.FETCHING)
    abandoned = abandoned_claims(fetching.values_list("worker", flat=True))
    lost = fetching.filter(Q(lease_until__lt=SteadyNow()) | Q(worker__in=abandoned))
    return lost.update(state=State.QUEUED, next_try=None, lease_until=None)


def finished_since(time: datetime) -> list[FetchRequest]:
    """Return the requests that ended at or after a time of the database's clock, in that order.

    A transaction may commit a little after the time it stores: pass a time some seconds ago, or use states_of().
    """
    return list(FetchRequest.objects.filter(finished_at__gte=time).order_by("finished_at", "id"))


def states_of(request_ids: Sequence[int]) -> dict[int, str]:
    """Return the states of requests by id; requests that do not exist are left out."""
    return dict(FetchRequest.objects.filter(pk__in=request_ids).values_list("pk", "state"))


def count_by_state() -> dict[str, int]:
    """Return how many requests are in each state."""
    found = FetchRequest.objects.order_by().values_list("state").annotate(Count("pk"))
    return {str(state): 0 for state in State} | dict(found)


def _due() -> QuerySet[FetchRequest]:
    return FetchRequest.objects.filter(Q(next_try=None) | Q(next_try__lte=SteadyNow()), state=State.QUEUED)


def _held(request_id: int, worker: str) -> QuerySet[FetchRequest]:
    return FetchRequest.objects.filter(pk=request_id, worker=worker, state=State.FETCHING)


def _add(market: Market, resolution: int, span: Span, purpose: int, spend: Spend | None) -> FetchRequest:
    """Create the request for a span, or extend one that has not started, if one page can answer for both."""
    start, stop = span
    page = _page(market, resolution)
    waiting = FetchRequest.objects.filter(market=market, resolution=resolution, purpose=purpose)
    waiting = waiting.filter(Q(start=stop) | Q(stop=start), state=State.QUEUED, reached=None)
    for request in waiting.select_for_update():
        low, high = min(start, request.start), max(stop, request.stop)
        if high - low <= page:
            request.start, request.stop = low, high
            request.save(update_fields=["start", "stop"])
            return request
    if spend is not None:
        spend(-((start - stop) // page))  # rounded up
    tell(Subject.WORK)
    return FetchRequest.objects.create(market=market, resolution=resolution, start=start, stop=stop, purpose=purpose)


def _page(market: Market, resolution: int) -> timedelta:
    """Return how long a time one answer of the market's provider may hold."""
    return traits_of(market.provider).candles.rows_per_page * timedelta(seconds=resolution)


def _fetchable_gaps(market: Market, resolution: int, bounds: Span) -> list[Interval]:
    """Return what is missing and not final, whether it is being fetched or not."""
    return subtract(missing(market, resolution, *bounds), final_gaps(market, resolution, *bounds))


def _join_into_pages(spans: Sequence[Interval], separators: Sequence[Interval], page: timedelta) -> list[Interval]:
    """Join spans that one page can answer for together, unless a separator lies between them."""
    length, joined = page // timedelta(microseconds=1), list[Interval]()
    for start, stop in spans:
        if joined and stop - joined[-1][0] <= length and not clip(separators, joined[-1][1], start):
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return joined


def _whole_buckets(resolution: int, start: datetime, stop: datetime) -> Span:
    frame = BASE[resolution]
    return frame.floor(start), frame.ceil(stop)


def _interval(request: FetchRequest) -> Interval:
    return micros_of(request.start), micros_of(request.stop)
