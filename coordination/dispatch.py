"""Dispatch of history: which request is fetched next, and what happens to those that no worker ends.

1. A reader's request comes first, then a gap's, then a schedule's, then a backfill's; of one purpose the oldest first.
2. No more requests are under way than there are producers to fetch them, so that no job waits in the worker's queue.
3. A request whose process is gone, or whose lease ran out, is enqueued again, and continues after the last
   acknowledged page.
4. Requests that have ended wake the readers that wait for them.

A request that was published but never stored is queued again by the consumer, once it has read its topic to the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from actor_runtime.errors import PlatformFault
from datastore.backfill import fetch_queue
from datastore.models import FetchRequest
from datastore.requests.endings import end_requests
from datastore.requests.wake import wake_readers

log = structlog.get_logger(__name__)

SWEEP_EVERY_S = 3.0  # how often requests that no worker ends are looked for

State = FetchRequest.State


class QueueAway(PlatformFault):
    """The worker's queue does not answer."""


@dataclass
class Dispatcher:
    """Enqueues requests for the worker, a few at a time."""

    enqueue: Callable[[int], None]  # puts a request's id into the worker's queue; may raise PlatformFault
    max_under_way: int  # requests
    steady: Callable[[], float] = time.monotonic
    _under_way: frozenset[int] | None = None  # ids at the last turn
    _enqueued_at: dict[int, float] = field(default_factory=dict)  # steady time by id of those not begun
    _swept_at: float = float("-inf")

    def turn(self) -> bool:
        """Do what is due; True if a request was enqueued."""
        now = self.steady()
        states = under_way()
        if now - self._swept_at >= SWEEP_EVERY_S:
            # What a killed job or a missed turn left open.
            if State.FETCHING in states.values() and (lapsed := fetch_queue.expire_leases()):
                log.warning("jobs ended without a word", requests=lapsed)
                states = under_way()
            if end_requests():
                wake_readers()
            self._swept_at = now

        ended = None if self._under_way is None else self._under_way.difference(states)
        if (ended is None or ended) and end_requests(ended):
            wake_readers()
        self._under_way = frozenset(states)

        queued = {pk for pk, state in states.items() if state == State.QUEUED}
        patience = fetch_queue.REDISPATCH_AFTER.total_seconds()
        self._enqueued_at = {pk: at for pk, at in self._enqueued_at.items() if pk in queued and now - at < patience}
        fetching = sum(state == State.FETCHING for state in states.values())
        room = self.max_under_way - fetching - len(self._enqueued_at)
        due = fetch_queue.due(room) if queued and room > 0 else []
        return sum(self._dispatch(request, now) for request in due) > 0

    @property
    def is_idle(self) -> bool:
        """Return whether no request was under way when that was last looked at."""
        return self._under_way is not None and not self._under_way

    def _dispatch(self, request: FetchRequest, now: float) -> bool:
        if not fetch_queue.hand_out(request.pk):
            return False  # another process got there first
        # After the row, so that the worker finds it handed out. If this process dies here, it is due again soon.
        try:
            self.enqueue(request.pk)
        except PlatformFault:
            FetchRequest.objects.filter(pk=request.pk, state=State.QUEUED).update(next_try=None)
            raise
        self._enqueued_at[request.pk] = now
        purpose = request.get_purpose_display()
        log.info("fetch dispatched", request=request.pk, market=request.market.symbol, purpose=purpose)
        return True


def under_way() -> dict[int, str]:
    """Return the states of the requests that have not ended, by id."""
    return dict(FetchRequest.objects.filter(state__in=fetch_queue.ACTIVE).order_by().values_list("pk", "state"))
