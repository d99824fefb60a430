from __future__ import annotations

from argparse import ArgumentParser
from datetime import datetime
from threading import Event
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from datastore.api.views.requests import eta_of, pages_of
from datastore.datastore_actor import end_answered, request_spans
from datastore.management.arguments import add_market, add_span, add_timeframe, check_order, market_named
from datastore.management.progress import Progress
from datastore.models import DatastoreRequest, FetchRequest
from datastore.reference.provider_clock import provider_now
from datastore.requests.plan import NO_COORDINATOR, coordinator_runs, final_spans
from datastore.timeframes.timeframe import TIMEFRAMES

State = DatastoreRequest.State
POLL_INTERVAL_S = 0.5


class Command(BaseCommand):
    """Fetch a span of a market's history and show its progress."""

    help = "Fetch what is missing of a market's history between --from and --to; Ctrl-C leaves the fetch running."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take market, timeframe and span."""
        add_market(parser)
        add_timeframe(parser)
        add_span(parser, required=True, default="where to start")
        parser.add_argument("--no-wait", action="store_true", help="request it and do not wait")

    def handle(
        self,
        *args: Any,
        market: str,
        timeframe: str,
        start: datetime,
        stop: datetime | None,
        no_wait: bool,
        **options: Any,
    ) -> None:
        """Request the span, then show its pages until the end."""
        check_order(start, stop)
        frame, now = TIMEFRAMES[timeframe], provider_now()
        missing = list(final_spans(frame.base, frame.floor(start), frame.ceil(stop or now), now))
        purpose = FetchRequest.Purpose.BACKFILL
        request = request_spans(market_named(market), timeframe, missing, purpose) if missing else None
        if request is None:
            self.stdout.write("Nothing is missing there that the provider can give.")
            return
        self.stdout.write(f"{request.name}: {len(request.fetches)} span(s) of {request.market} {timeframe} requested.")
        if no_wait:
            return
        if not coordinator_runs():
            raise CommandError(f"{NO_COORDINATOR}. The request is kept until one runs (manage.py up).")
        try:
            self._follow(request)
        except KeyboardInterrupt:
            self.stdout.write(f"\nIt goes on in the background: GET /api/v1/requests/{request.pk} shows its progress.")

    def _follow(self, request: DatastoreRequest) -> None:
        progress = Progress(self.stdout)
        while (found := DatastoreRequest.objects.get(pk=request.pk)).state == State.WAITING_FOR_DATA:
            self._show(progress, found)
            Event().wait(POLL_INTERVAL_S)
        self._show(progress, found)
        progress.end()
        end_answered([found.name], by="manage.py backfill")
        if found.state == State.ERROR:
            raise CommandError(f"{found.name} failed: {found.last_error}.")
        self.stdout.write("Everything that the provider has is stored. For what it lacks, see manage.py gaps.")

    def _show(self, progress: Progress, request: DatastoreRequest) -> None:
        """Show the pages, and what holds the fetches up, or else when they will be done."""
        fetches = list(FetchRequest.objects.filter(pk__in=request.fetches))
        errors = [fetch.error for fetch in fetches if fetch.state == FetchRequest.State.QUEUED and fetch.error]
        eta = eta_of(fetches, timezone.now())
        note = errors[0] if errors else f"done about {eta:%H:%M} UTC" if eta else ""
        progress.show(*pages_of(fetches), note=note)
