"""What is asked of the provider's history: one row per span, from the queue to the database.

Asking locks the market, so nothing is fetched twice; a job holds its row by a lease that it renews. All times of a
row's life are the database's. Only the consumer that stores the answer ends a request (datastore/backfill/store.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, F, Q, QuerySet
from django.db.models.functions import Now

from actor_runtime.ownership.claims import abandoned_claims
from datastore.backfill.quota import Spend
from datastore.coverage.gaps import final_gaps, missing
from datastore.models import FetchRequest, Market
from datastore.timeframes.intervals import SECOND_US, Interval, clip, micros_of, moment, subtract, union
from datastore.timeframes.timeframe import BASE

LEASE = timedelta(seconds=30)
# A request that was handed out and not begun is due again after this long: the message to the worker may be lost.
HANDED_OUT = timedelta(seconds=15)
PAGE = 2000  # buckets of one answer
# What failed is not asked for again before: each poll of an impatient reader would cost the provider a call.
FAILED_FOR = timedelta(minutes=1)

State = FetchRequest.State
Purpose = FetchRequest.Purpose
ACTIVE = FetchRequest.ACTIVE
Span = tuple[datetime, datetime]


def not_yet_requested(market: Market, resolution: int, start: datetime, stop: datetime) -> list[Span]:
    """Return the spans of [start, stop), in whole buckets of a resolution, that only a new request can bring.

    Left out: what is proven, what the provider cannot yet answer for finally, what it refused for good, and what is
    being fetched.
    """
    bounds = _widened(resolution, start, stop)
    taken = [_span_of(request) for request in active(market, resolution, *bounds)]
    return _moments(subtract(_wanted(market, resolution, bounds), union(taken)))


def enqueue(
    market: Market, resolution: int, start: datetime, stop: datetime, purpose: int, spend: Spend | None = None
) -> list[FetchRequest]:
    """Ask for what is missing of [start, stop); return every active request that will bring a part of it.

    Those under way take the more urgent purpose. Locks the market to the end of the transaction. What `spend` raises
    for the pages of a new request leaves nothing asked for.
    """
    bounds = _widened(resolution, start, stop)
    with transaction.atomic():
        Market.objects.select_for_update(no_key=True).get(pk=market.pk)
        known = list(active(market, resolution, *bounds).select_for_update())
        _hurry(known, purpose)
        taken = union(_span_of(request) for request in known)
        wanted = subtract(_wanted(market, resolution, bounds), taken)
        apart = union([*taken, *final_gaps(market, resolution, *bounds)])
        spans = _moments(_paged(wanted, apart, resolution))
        added = [_add(market, resolution, span, purpose, spend) for span in spans]
        return list({request.pk: request for request in [*known, *added]}.values())


def active(market: Market, resolution: int, start: datetime, stop: datetime) -> QuerySet[FetchRequest]:
    """Return the requests under way that reach into [start, stop), the oldest first."""
    found = FetchRequest.objects.filter(market=market, resolution=resolution, state__in=ACTIVE)
    return found.filter(start__lt=stop, stop__gt=start).order_by("id")


def failed_lately(market: Market, resolution: int, start: datetime, stop: datetime) -> str | None:
    """Return why fetching a part of it failed within the last minute, None where none did."""
    failed = FetchRequest.objects.filter(
        market=market,
        resolution=resolution,
        state=State.FAILED,
        start__lt=stop,
        stop__gt=start,
        finished_at__gt=Now() - FAILED_FOR,
    ).first()
    return (failed.error or "the fetch failed") if failed else None


def due(limit: int) -> list[FetchRequest]:
    """Return the queued requests whose time has come, the most urgent first."""
    return list(_due().select_related("market").order_by("purpose", "id")[:limit])


def hand_out(request_id: int) -> bool:
    """Note that a worker is told of a due request; False where another was quicker."""
    return bool(_due().filter(pk=request_id).update(next_try=Now() + HANDED_OUT))


def start(request_id: int, worker: str) -> FetchRequest | None:
    """Begin a queued request, or one whose lease ran out; None where it is taken, published or over."""
    free = Q(state=State.QUEUED) | Q(state=State.FETCHING, lease_until__lt=Now())
    begun = FetchRequest.objects.filter(free, pk=request_id).update(
        state=State.FETCHING, worker=worker, lease_until=Now() + LEASE, next_try=None, dispatched=F("dispatched") + 1
    )
    return FetchRequest.objects.select_related("market").get(pk=request_id) if begun else None


def renew(request_id: int, worker: str) -> bool:
    """Renew the lease; False where the job has lost its request and must stop."""
    return bool(_held(request_id, worker).update(lease_until=Now() + LEASE))


def advance(request_id: int, worker: str, reached: datetime, pages_done: int, pages_total: int) -> bool:
    """Note that all of [reached, stop) is published and acknowledged, and renew the lease; False as in renew."""
    progress = {"reached": reached, "pages_done": pages_done, "pages_total": pages_total}
    return bool(_held(request_id, worker).update(lease_until=Now() + LEASE, error=None, **progress))


def published(request_id: int, worker: str) -> bool:
    """Note that the request's last record is acknowledged; False where it already ended, or another job has it."""
    return bool(_held(request_id, worker).update(state=State.PUBLISHED, published_at=Now(), lease_until=None))


def complain(request_id: int, worker: str, error: str) -> bool:
    """Note what keeps a job from going on, until it does; False as in renew."""
    return bool(_held(request_id, worker).update(error=error))


def give_back(request_id: int, worker: str, error: str, wait: timedelta) -> bool:
    """Queue the request again, not to be begun before `wait` is over; False as in renew."""
    held = _held(request_id, worker)
    return bool(held.update(state=State.QUEUED, error=error, next_try=Now() + wait, lease_until=None))


def expire_leases() -> int:
    """Queue the requests of jobs that stopped renewing, or whose process is gone; return how many."""
    fetching = FetchRequest.objects.filter(state=State.FETCHING)
    abandoned = abandoned_claims(fetching.values_list("worker", flat=True))
    lost = fetching.filter(Q(lease_until__lt=Now()) | Q(worker__in=abandoned))
    return lost.update(state=State.QUEUED, next_try=None, lease_until=None)


def finished_since(time: datetime) -> list[FetchRequest]:
    """Return the requests that ended at or after a time of the database's clock, in that order.

    A transaction may commit a little after the time it notes: look back some seconds, or ask states_of.
    """
    return list(FetchRequest.objects.filter(finished_at__gte=time).order_by("finished_at", "id"))


def states_of(request_ids: Sequence[int]) -> dict[int, str]:
    """Return the states of requests by id; one that does not exist is left out."""
    return dict(FetchRequest.objects.filter(pk__in=request_ids).values_list("pk", "state"))


def counts() -> dict[str, int]:
    """Return how many requests are in each state."""
    found = FetchRequest.objects.order_by().values_list("state").annotate(Count("pk"))
    return {str(state): 0 for state in State} | dict(found)


def _due() -> QuerySet[FetchRequest]:
    return FetchRequest.objects.filter(Q(next_try=None) | Q(next_try__lte=Now()), state=State.QUEUED)


def _held(request_id: int, worker: str) -> QuerySet[FetchRequest]:
    return FetchRequest.objects.filter(pk=request_id, worker=worker, state=State.FETCHING)


def _hurry(requests: Sequence[FetchRequest], purpose: int) -> None:
    slow = [request for request in requests if request.purpose > purpose]
    for request in slow:
        request.purpose = purpose
    FetchRequest.objects.filter(pk__in=[request.pk for request in slow]).update(purpose=purpose)


def _add(market: Market, resolution: int, span: Span, purpose: int, spend: Spend | None) -> FetchRequest:
    """Make the request for a span, or let one that has not begun grow over it while one page answers for both."""
    start, stop = span
    waiting = FetchRequest.objects.filter(market=market, resolution=resolution, purpose=purpose)
    waiting = waiting.filter(Q(start=stop) | Q(stop=start), state=State.QUEUED, reached=None)
    for request in waiting.select_for_update():
        low, high = min(start, request.start), max(stop, request.stop)
        if high - low <= PAGE * timedelta(seconds=resolution):
            request.start, request.stop = low, high
            request.save(update_fields=["start", "stop"])
            return request
    if spend is not None:
        spend(-((start - stop) // timedelta(seconds=PAGE * resolution)))  # rounded up
    return FetchRequest.objects.create(market=market, resolution=resolution, start=start, stop=stop, purpose=purpose)


def _wanted(market: Market, resolution: int, bounds: Span) -> list[Interval]:
    """Return what is missing or being fetched."""
    return subtract(missing(market, resolution, *bounds), final_gaps(market, resolution, *bounds))


def _paged(spans: Sequence[Interval], apart: Sequence[Interval], resolution: int) -> list[Interval]:
    """Join spans that one page can answer for together, unless a span of `apart` lies between them."""
    joined: list[Interval] = []
    for start, stop in spans:
        if joined and stop - joined[-1][0] <= PAGE * resolution * SECOND_US and not clip(apart, joined[-1][1], start):
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return joined


def _widened(resolution: int, start: datetime, stop: datetime) -> Span:
    frame = BASE[resolution]
    return frame.floor(start), frame.ceil(stop)


def _span_of(request: FetchRequest) -> Interval:
    return micros_of(request.start), micros_of(request.stop)


def _moments(spans: Sequence[Interval]) -> list[Span]:
    return [(moment(low), moment(high)) for low, high in spans]
