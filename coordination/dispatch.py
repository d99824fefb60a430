"""Dispatch of history: which request the worker is told of next, and what becomes of those that nobody ends.

1. A reader's request goes before a gap's, that before a schedule's and a backfill's; within a purpose the oldest first.
2. No more are under way at once than there are producers to fetch them, so that no job waits in the worker's queue.
3. A job whose process is gone, or whose lease ran out, is told to the worker again, and goes on behind the last
   acknowledged page.
4. Requests that ended wake the readers who wait for them.

What was published and never stored is queued again by the consumer that has read its topic to the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from django_redis import get_redis_connection
from redis.exceptions import RedisError

from actor_runtime.errors import PlatformFault
from datastore.backfill import fetch_queue
from datastore.datastore_actor import end_requests
from datastore.models import FetchRequest

log = structlog.get_logger(__name__)

WAKE_CHANNEL = "ck:requests"  # the channel that waiting readers listen to
SWEEP_EVERY_S = 3.0  # seconds between two looks at what nobody ends

State = FetchRequest.State


class QueueAway(PlatformFault):
    """The worker's queue does not answer."""


@dataclass
class Dispatcher:
    """Tells the worker of requests, a few at a time; tell() may raise PlatformFault."""

    enqueue: Callable[[int], None]  # puts a request's number into the worker's queue
    max_under_way: int  # requests under way at once
    steady: Callable[[], float] = time.monotonic
    _under_way: frozenset[int] | None = None  # requests under way at the last look
    _enqueued_at: dict[int, float] = field(default_factory=dict)  # told and not begun: when
    _swept_at: float = float("-inf")

    def turn(self) -> bool:
        """Do what is due; True if the worker was told of a request."""
        if (now := self.steady()) - self._swept_at >= SWEEP_EVERY_S:
            self._look_back()
            self._swept_at = now
        states = under_way()
        self._wake_readers(frozenset(states))
        return self._tell_due(states, now)

    def _tell_due(self, states: dict[int, str], now: float) -> bool:
        queued = {pk for pk, state in states.items() if state == State.QUEUED}
        patience = fetch_queue.REDISPATCH_AFTER.total_seconds()
        self._enqueued_at = {pk: at for pk, at in self._enqueued_at.items() if pk in queued and now - at < patience}
        fetching = sum(state == State.FETCHING for state in states.values())
        room = self.max_under_way - fetching - len(self._enqueued_at)
        due = fetch_queue.due(room) if queued and room > 0 else []
        return sum(self._tell(request, now) for request in due) > 0

    def _tell(self, request: FetchRequest, now: float) -> bool:
        if not fetch_queue.hand_out(request.pk):
            return False  # somebody got there first
        # After the row: a worker that hears of it must find it handed out. If we die here it is due again soon.
        try:
            self.enqueue(request.pk)
        except PlatformFault:
            FetchRequest.objects.filter(pk=request.pk, state=State.QUEUED).update(next_try=None)
            raise
        self._enqueued_at[request.pk] = now
        purpose = request.get_purpose_display()
        log.info("fetch dispatched", request=request.pk, market=request.market.symbol, purpose=purpose)
        return True

    def _wake_readers(self, still_open: frozenset[int]) -> None:
        ended = None if self._under_way is None else self._under_way - still_open
        if (ended is None or ended) and end_requests(ended):
            wake_readers()
        self._under_way = still_open

    def _look_back(self) -> None:
        """Take up what a killed job or a missed look left open."""
        if lapsed := fetch_queue.expire_leases():
            log.warning("jobs ended without a word", requests=lapsed)
        if end_requests():
            wake_readers()


def under_way() -> dict[int, str]:
    """Return the states of the requests that have not ended."""
    return dict(FetchRequest.objects.filter(state__in=fetch_queue.ACTIVE).order_by().values_list("pk", "state"))


def wake_readers() -> None:
    """Wake the readers who wait for an answer; without a cache they look by themselves."""
    try:
        get_redis_connection("default").publish(WAKE_CHANNEL, "ended")
    except RedisError as exc:
        log.debug("readers not woken", reason=str(exc))
