"""The Coordinator: brings requests of history to the worker and their ends to those who wait."""

from __future__ import annotations

from celery import current_app
from django.conf import settings
from kombu.exceptions import OperationalError

from actors.models import Actor
from actors.session import ActorSession
from coordination.fetches import Dispatch, QueueAway
from coordination.models import Coordinator
from coordination.pair_watch import PairWatch
from coordination.schedules import ensure_schedules
from datastore.fetches import HANDED_OUT

FETCH, PAIRS = "ingestion.fetch", "ingestion.pairs"


class CoordinatorWork:
    """Dispatch history in every state; dynamic topics are what the states are about."""

    model: type[Actor] = Coordinator
    role = "coordinator"
    several = False  # a second one stands by
    pause = 0.25  # seconds: what a reader's request may lie before the worker is told

    def __init__(self) -> None:
        self._dispatch = Dispatch(tell_worker, settings.PRODUCER_POOL)
        self._pairs = PairWatch(ask_for_pairs)

    def open(self, session: ActorSession) -> None:
        """Make the schedules that are missing."""
        ensure_schedules()

    def turn(self) -> bool:
        """Do what is due; True if there may be more."""
        more = self._dispatch.turn()
        self._pairs.look()
        return more

    def meanwhile(self) -> None:
        """Go on dispatching while the actor is in Error."""
        self._dispatch.turn()

    def beat(self) -> None:
        """Nothing: what is due every few seconds is due in Error too."""

    def close(self) -> None:
        """Nothing is held between turns."""


def tell_worker(request_id: int) -> None:
    """Put a request into the worker's queue. Raises QueueAway."""
    _send(FETCH, request_id)


def ask_for_pairs() -> None:
    """Have the worker read the provider's list of pairs. Raises QueueAway."""
    _send(PAIRS)


def _send(task: str, *arguments: int) -> None:
    # One that is not taken up soon is told again, so an old message is worth nothing.
    try:
        current_app.send_task(task, list(arguments), expires=HANDED_OUT.total_seconds(), retry=False)
    except OperationalError as exc:
        raise QueueAway(f"the worker's queue does not answer: {exc}") from exc
