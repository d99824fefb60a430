"""Scheduled jobs of the Coordinator: fetch what has ended, free what has died, delete what is old."""

from __future__ import annotations

from datetime import timedelta

import structlog
from celery import shared_task

from actor_runtime.models import actor_models
from actor_runtime.ownership.claims import free_abandoned, retire_surplus, roles_of
from actor_runtime.ownership.process_identity import this_process
from actor_runtime.transition_log import trim
from datastore.backfill.newest import request_newest
from datastore.models import FetchRequest
from datastore.reference.markets import feed_markets
from datastore.reference.provider_clock import steady_now
from datastore.requests.endings import expire_requests
from datastore.streams import lifecycle, topics

log = structlog.get_logger(__name__)

LOG_DAYS = 30
HOUR_S, DAY_S = 3600, 86_400


@shared_task(name="coordination.refresh")
def refresh() -> None:
    """Request the hours and days of followed markets that ended since the last time, and missing older ones."""
    requests = request_newest(feed_markets().order_by("id"), [HOUR_S, DAY_S])
    log.info("hours and days asked for", requests=len(requests))


@shared_task(name="coordination.sweep")
def sweep() -> None:
    """Free the rows of dead owners, retire surplus rows, and expire answers that were never collected."""
    for model in actor_models():
        for role in roles_of(model):
            freed = free_abandoned(model, role, by=f"sweep by {this_process()}")
            if (retired := retire_surplus(model, role)) or freed:
                log.info("actors swept", role=role, freed=freed, retired=retired)
    if ended := expire_requests():
        log.info("answers expired", requests=ended)


@shared_task(name="coordination.trim")
def trim_logs() -> None:
    """Delete transitions, requests of history, streams, topics and actors that ended more than 30 days ago."""
    old = steady_now() - timedelta(days=LOG_DAYS)
    fetched, _ = FetchRequest.objects.filter(finished_at__lt=old).delete()
    for model in actor_models():  # every dynamic topic had an actor of its own
        model._default_manager.filter(retired_at__lt=old, owner="").delete()
    ended = {"streams": lifecycle.delete_old(old), "topics": topics.delete_old(old)}
    log.info("logs trimmed", transitions=trim(LOG_DAYS), requests=fetched, **ended)
