from __future__ import annotations

from argparse import ArgumentParser
from datetime import datetime
from threading import Event
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from datastore.api.views.requests import eta_of, pages_of
from datastore.datastore_actor import order, settle
from datastore.management.arguments import add_market, add_span, add_timeframe, check_order, market_named
from datastore.management.progress import Progress
from datastore.models import DatastoreRequest, FetchRequest
from datastore.reference.provider_clock import provider_now
from datastore.requests.fetchable import NO_COORDINATOR, coordinator_runs
from datastore.requests.missing import split
from datastore.timeframes.timeframe import TIMEFRAMES

State = DatastoreRequest.State
LOOK = 0.5  # seconds


class Command(BaseCommand):
    """Fetch a span of a market's history and show how far it is."""

    help = "Fetch what is missing of a market's history between --from and --to; Ctrl-C leaves the fetch running."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take market, timeframe and span."""
        add_market(parser)
        add_timeframe(parser)
        add_span(parser, required=True, default="where to begin")
        parser.add_argument("--no-wait", action="store_true", help="ask for it and do not watch")

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
        """Ask for the span, then follow its pages to the end."""
        check_order(start, stop)
        frame, now = TIMEFRAMES[timeframe], provider_now()
        lacks = list(split(frame.base, frame.floor(start), frame.ceil(stop or now), now))
        request = order(market_named(market), timeframe, lacks, FetchRequest.Purpose.BACKFILL) if lacks else None
        if request is None:
            self.stdout.write("Nothing is missing there that the provider could give.")
            return
        self.stdout.write(f"{request.name}: {len(request.fetches)} span(s) of {request.market} {timeframe} asked for.")
        if no_wait:
            return
        if not coordinator_runs():
            raise CommandError(f"{NO_COORDINATOR}. It is kept, and fetched as soon as one runs (manage.py up).")
        try:
            self._follow(request)
        except KeyboardInterrupt:
            self.stdout.write(f"\nIt goes on without you: GET /api/v1/requests/{request.pk} tells how far it is.")

    def _follow(self, request: DatastoreRequest) -> None:
        progress = Progress(self.stdout)
        while (found := DatastoreRequest.objects.get(pk=request.pk)).state == State.WAITING_FOR_DATA:
            self._show(progress, found)
            Event().wait(LOOK)
        self._show(progress, found)
        progress.end()
        settle([found.name], by="manage.py backfill")
        if found.state == State.ERROR:
            raise CommandError(f"{found.name} failed: {found.last_error}.")
        self.stdout.write("All of it is stored, or the provider will never give it: see manage.py gaps.")

    def _show(self, progress: Progress, request: DatastoreRequest) -> None:
        fetches = list(FetchRequest.objects.filter(pk__in=request.fetches))
        progress.show(*pages_of(fetches), note=_note(fetches))


def _note(fetches: list[FetchRequest]) -> str:
    """Return what holds the fetches up, else when they will be done."""
    if held := [fetch.error for fetch in fetches if fetch.state == FetchRequest.State.QUEUED and fetch.error]:
        return held[0]
    eta = eta_of(fetches, timezone.now())
    return f"done about {eta:%H:%M} UTC" if eta else ""
