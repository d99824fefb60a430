"""The tasks that the Coordinator and beat send to the worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any

from celery import shared_task
from celery.signals import worker_shutting_down

from ingestion.history import history_producer_actor, reconciliation
from ingestion.history.pair_list import refresh_pairs
from ingestion.topics import topic_producer_actor

_jobs: set[Event] = set()  # the stop of every job that runs in this process


@contextmanager
def _job() -> Iterator[Event]:
    """Yield an event that is set when the worker shuts down."""
    stop = Event()
    _jobs.add(stop)
    try:
        yield stop
    finally:
        _jobs.discard(stop)


@shared_task(name="ingestion.fetch", ignore_result=True)
def fetch(request_id: int) -> None:
    """Fetch the FetchRequest of this id, from where it is."""
    with _job() as stop:
        history_producer_actor.fetch(request_id, stop)


@shared_task(name="ingestion.create_topic", ignore_result=True)
def create_topic(topic_id: int) -> None:
    """Make the topic of the DynamicTopic of this id."""
    with _job() as stop:
        topic_producer_actor.create(topic_id, stop)


@shared_task(name="ingestion.reconcile", ignore_result=True)
def reconcile() -> None:
    """Compare closed minutes of every market with the provider's."""
    with _job() as stop:
        reconciliation.reconcile(stop)


@shared_task(name="ingestion.pairs", ignore_result=True)
def pairs() -> None:
    """Read the provider's list of pairs."""
    with _job() as stop:
        refresh_pairs(stop)


@worker_shutting_down.connect
def end_jobs(**kwargs: Any) -> None:
    """Let every job finish its page and give its request back."""
    for stop in tuple(_jobs):
        stop.set()
