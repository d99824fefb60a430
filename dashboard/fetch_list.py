"""What is fetched from the providers: how far each request is, who has it or what it waits for, and the budget."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.http import QueryDict
from django.utils import timezone
from redis.exceptions import RedisError

from dashboard.paging import Page, chosen, page_of
from datastore.access.counters import ask_counters
from datastore.blockers import Blockers, with_lease
from datastore.models import DatastoreRequest, FetchRequest
from datastore.timeframes.timeframe import BASE
from ingestion.history.provider_quota import quota_of
from ingestion.providers.table import configured

MAX_RUNNING = 100
MAX_WAITING = 50
State = FetchRequest.State
PURPOSES = {purpose.value: purpose.label.lower() for purpose in FetchRequest.Purpose}


@dataclass(frozen=True, slots=True)
class FetchRow:
    """A request to a provider; eta: when it is done at its pace so far, None if that is unknown."""

    fetch: Any
    of: str  # the timeframe, or trades
    purpose: str
    work: str = ""  # who has it, or what it waits for
    eta: datetime | None = None

    @property
    def took(self) -> float | None:
        """Return how many seconds it took from being asked for to its end."""
        end = self.fetch.finished_at
        return (end - self.fetch.created_at).total_seconds() if end else None


@dataclass(frozen=True, slots=True)
class Budget:
    """What one window of a provider's limits still allows."""

    provider: str
    window: str
    left: int
    limit: int

    @property
    def used(self) -> int:
        """Return how many calls were made in the window."""
        return self.limit - self.left


@dataclass(frozen=True, slots=True)
class Budgets:
    """The budgets of the configured providers; refusal: why they are unknown, pauses: providers that are left alone."""

    windows: list[Budget]
    pauses: list[tuple[str, str]]
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """A question that waits for fetches, and how many of them have ended."""

    request: DatastoreRequest
    ended: int
    total: int


def running() -> list[FetchRow]:
    """Return the requests under way, the most urgent first, at most 100."""
    active = with_lease(FetchRequest.objects.filter(state__in=FetchRequest.ACTIVE)).select_related("market")
    blockers, now = Blockers(), timezone.now()
    return [
        replace(_row(fetch), work=blockers.of_request(fetch), eta=eta_of(fetch, now))
        for fetch in active.order_by("purpose", "id")[:MAX_RUNNING]
    ]


def ended(query: QueryDict) -> tuple[Page[FetchRow], dict[str, str]]:
    """Return a page of requests that ended, the newest first, and the filters that were used."""
    filters = {"state": chosen(query, "state", (State.DONE, State.FAILED)), "market": chosen(query, "market")}
    fetches: QuerySet[Any] = FetchRequest.objects.exclude(state__in=FetchRequest.ACTIVE).select_related("market")
    if filters["state"]:
        fetches = fetches.filter(state=filters["state"])
    if filters["market"]:
        fetches = fetches.filter(market__symbol__icontains=filters["market"])
    page = page_of(fetches.order_by("-id"), query)
    return replace(page, rows=[_row(fetch) for fetch in page.rows]), filters


def questions() -> list[Question]:
    """Return the questions of applications that wait for data, the newest first, in two statements."""
    waiting = DatastoreRequest.objects.filter(retired_at=None, state=DatastoreRequest.State.WAITING_FOR_DATA)
    found = list(waiting.order_by("-id")[:MAX_WAITING])
    ids = {pk for request in found for pk in request.fetches}
    over = set(
        FetchRequest.objects.filter(pk__in=ids).exclude(state__in=FetchRequest.ACTIVE).values_list("pk", flat=True)
    )
    return [Question(one, len(over & set(one.fetches)), len(one.fetches)) for one in found]


def budgets() -> Budgets:
    """Return what the providers still allow by our own count; no call is made for it."""
    windows: list[Budget] = []
    pauses: list[tuple[str, str]] = []
    try:
        for provider in configured():
            quota = quota_of(provider.traits, ask_counters)
            windows += [Budget(provider.name, name, one.calls, one.limit) for name, one in quota.remaining().items()]
            if reason := quota.pause_reason():
                pauses.append((provider.name, reason))
    except RedisError as exc:
        return Budgets([], [], f"The cache does not answer: {exc}")
    return Budgets(windows, pauses)


def eta_of(fetch: FetchRequest, now: datetime) -> datetime | None:
    """Return when a request is done at its pace so far; None before its first page and after its last one. Pure."""
    done, total = fetch.pages_done, fetch.pages_total
    if not done or total is None or done >= total:
        return None
    took: timedelta = now - fetch.created_at
    return now + took / done * (total - done)


def _row(fetch: FetchRequest) -> FetchRow:
    of = BASE[fetch.resolution].name if fetch.resolution in BASE else "trades"
    return FetchRow(fetch, of, PURPOSES.get(fetch.purpose, ""))
