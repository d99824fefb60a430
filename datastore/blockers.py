"""What history and feeds wait for, named down to the actor: a fetch is under way only while a job holds its lease.

The actors of other packages are known by their rows alone, each read once for one `Blockers`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet

from actor_runtime.ownership.description import active_rows, describe, describe_all, is_alive, needs_person
from actor_runtime.steady_time import SteadyNow
from datastore.models import FetchRequest
from datastore.reference.provider_registry import live_role

COORDINATOR, PRODUCER, CONSUMER = (
    ("coordination", "Coordinator"),
    ("ingestion", "Producer"),
    ("consumers", "FixedTopicConsumer"),
)
HISTORY_ROLE, CANDLE_ROLE = "producer-history", "fixed-candle"

State = FetchRequest.State


class Blockers:
    """What requests for history and feeds wait for, as of the first question about each kind of actor."""

    def __init__(self) -> None:
        self._feeds: dict[str, str] = {}

    def of_gap(self, requests: Sequence[Any]) -> str | None:
        """Return what is done about a gap by the first of its requests (of active_requests), None if there is none."""
        held = [request for request in requests if self.is_fetching(request)]
        first = next(iter(held or requests), None)
        return None if first is None else self.of_request(first)

    def is_fetching(self, request: Any) -> bool:
        """Return whether a job fetches the request now: its lease has not run out."""
        return bool(request.state == State.FETCHING and request.is_held)

    def of_request(self, request: Any) -> str:
        """Return who fetches an active request, or what it waits for and what a person must do about that."""
        worker = request.worker.partition("@")[0] or "a job"
        if self.is_fetching(request):
            return f"being fetched by {worker}" + (f", held up: {request.error}" if request.error else "")
        if request.state == State.PUBLISHED:
            return f"fetched, waits to be stored: {self.consumers}"
        if self.coordinators:
            return f"waits for a Coordinator: {self.coordinators}"
        if self.waiting_producer:
            return f"waits for the history pool: {self.waiting_producer}"
        if request.state == State.FETCHING:
            return f"waits to be handed out again: {worker} gave no sign of life"
        again = f", tried again at {request.next_try:%H:%M:%S}" if request.next_try else ""
        return f"queued: {request.error or 'waits for a history Producer'}{again}"

    def feed_of(self, provider: str) -> str:
        """Return what a provider's live Producers say of themselves."""
        if provider not in self._feeds:
            role = live_role(provider)
            missing = f"there is no {role}-… row: does run_producer run?"
            self._feeds[provider] = describe_all(active_rows(PRODUCER, role=role), missing)
        return self._feeds[provider]

    @cached_property
    def consumers(self) -> str:
        """Return what the consumers of candle-data say of themselves."""
        rows = active_rows(CONSUMER, role=CANDLE_ROLE)
        return describe_all(rows, f"there is no {CANDLE_ROLE}-… row: does run_fixed_consumer run?")

    @cached_property
    def coordinators(self) -> str | None:
        """Return why no Coordinator hands out requests, None if one does: it also does so in Error."""
        rows = list(active_rows(COORDINATOR))
        if any(map(is_alive, rows)):
            return None
        return ", ".join(map(describe, rows)) or "there is none: does run_coordinator run?"

    @cached_property
    def waiting_producer(self) -> str | None:
        """Return the history Producer that waits for a person and so holds the whole pool, None if none does."""
        rows = active_rows(PRODUCER, role=HISTORY_ROLE)
        return next((describe(row) for row in rows if needs_person(row)), None)


def active_requests(market_ids: Collection[int]) -> dict[int, list[Any]]:
    """Return by market the requests that have not ended, the oldest first; `is_held`: a job holds its lease."""
    requests = FetchRequest.objects.filter(market__in=market_ids, state__in=FetchRequest.ACTIVE)
    found: dict[int, list[Any]] = {market_id: [] for market_id in market_ids}
    for request in with_lease(requests).order_by("id"):
        found[request.market_id].append(request)
    return found


def with_lease(requests: QuerySet[FetchRequest]) -> QuerySet[Any]:
    """Return the requests with `is_held`: whether a job's lease of it still runs, by the database's clock."""
    is_held = ExpressionWrapper(Q(lease_until__gt=SteadyNow()), output_field=BooleanField())
    annotated: QuerySet[Any] = requests.annotate(is_held=is_held)
    return annotated


def touching(requests: Iterable[Any], resolution: int, start: datetime, stop: datetime) -> list[Any]:
    """Return the requests for candles of one resolution (seconds), or for trades, that overlap [start, stop)."""
    return [
        one
        for one in requests
        if one.resolution in (resolution, FetchRequest.TRADES) and one.start < stop and one.stop > start
    ]
