from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import dataclass
from datetime import datetime
from threading import Event
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from datastore.api.views.requests import eta_of, pages_of
from datastore.coverage.completeness import described
from datastore.datastore_actor import end_answered, request_spans
from datastore.management.arguments import add_market, add_span, add_timeframe, check_order, market_named
from datastore.management.progress import Progress
from datastore.models import DatastoreRequest, FetchRequest, Market
from datastore.reference.provider_clock import provider_now
from datastore.reference.provider_registry import traits_of
from datastore.requests.plan import NO_COORDINATOR, coordinator_runs, final_spans
from datastore.series.reader import read_completeness
from datastore.timeframes.timeframe import TIMEFRAMES
from datastore.wording import counted

State = DatastoreRequest.State
POLL_INTERVAL_S = 0.5


@dataclass(frozen=True, slots=True)
class Asked:
    """The span that is to be there."""

    market: Market
    timeframe: str
    start: datetime
    stop: datetime


class Command(BaseCommand):
    """Fetch a span of a market's history, show its progress, and say how much of the span is there."""

    help = (
        "Fetch what is missing of a market's history between --from and --to, and say how much of it is there. Exit "
        "with 1 while anything is missing, also if the provider will never have it. Ctrl-C leaves the fetch running."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take market, timeframe and span."""
        add_market(parser)
        add_timeframe(parser)
        add_span(parser, required=True, default="where to start")
        parser.add_argument("--no-wait", action="store_true", help="request it and do not wait")
        parser.add_argument("--again", action="store_true", help="also ask for what the provider has refused for good")

    def handle(
        self,
        *args: Any,
        market: str,
        timeframe: str,
        start: datetime,
        stop: datetime | None,
        no_wait: bool,
        again: bool,
        **options: Any,
    ) -> None:
        """Request the span, show its pages until the end, then how much is there; raise CommandError if not all is."""
        check_order(start, stop)
        named = market_named(market)
        now = provider_now(named.provider)
        asked = Asked(named, timeframe, start, stop or now)
        frame, purpose = TIMEFRAMES[timeframe], FetchRequest.Purpose.BACKFILL
        candles = traits_of(asked.market.provider).candles
        spans = list(final_spans(candles, frame.base, frame.floor(start), frame.ceil(asked.stop), now))
        request = request_spans(asked.market, timeframe, spans, purpose, again=again)
        if request is None:
            self.stdout.write("There is nothing to fetch.")
            self._report(asked)
            return
        self.stdout.write(
            f"{request.name}: {counted(len(request.fetches), 'span')} of {request.market} {timeframe} requested."
        )
        if no_wait:
            return
        if not coordinator_runs():
            raise CommandError(f"{NO_COORDINATOR}. The request is kept until one runs (manage.py up).")
        try:
            failure = self._follow(request)
        except KeyboardInterrupt:
            self.stdout.write(f"\nIt goes on in the background: GET /api/v1/requests/{request.pk} shows its progress.")
        else:
            self._report(asked, failure)

    def _follow(self, request: DatastoreRequest) -> str:
        """Show the pages until the end; return why the request failed, an empty text if it did not."""
        progress = Progress(self.stdout)
        while (found := DatastoreRequest.objects.get(pk=request.pk)).state == State.WAITING_FOR_DATA:
            self._show(progress, found)
            Event().wait(POLL_INTERVAL_S)
        self._show(progress, found)
        progress.end()
        end_answered([found.name], by="manage.py backfill")
        return f"{found.name} failed: {found.last_error}. " if found.state == State.ERROR else ""

    def _report(self, asked: Asked, failure: str = "") -> None:
        """Print how much of the span is there; raise CommandError if a part of it is missing."""
        found = read_completeness(asked.market, asked.timeframe, asked.start, asked.stop)
        line = f"{asked.market.symbol} {asked.timeframe}: {described(found)}."
        if failure or found.missing:
            raise CommandError(f"{failure}{line}" + (" See manage.py gaps." if found.missing else ""))
        self.stdout.write(line)

    def _show(self, progress: Progress, request: DatastoreRequest) -> None:
        """Show the pages, and what holds the fetches up, or else when they will be done."""
        fetches = list(FetchRequest.objects.filter(pk__in=request.fetches))
        errors = [fetch.error for fetch in fetches if fetch.state == FetchRequest.State.QUEUED and fetch.error]
        eta = eta_of(fetches, timezone.now())
        note = errors[0] if errors else f"done about {eta:%H:%M} UTC" if eta else ""
        progress.show(*pages_of(fetches), note=note)
