from __future__ import annotations

import sys
from argparse import ArgumentParser
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Event
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from datastore.api.views.requests import eta_of, pages_of
from datastore.backfill.trade_backfill import (
    CannotBackfill,
    estimate,
    missing_parts,
    proven_minutes,
)
from datastore.coverage.completeness import described
from datastore.datastore_actor import request_spans, request_trade_history
from datastore.management.arguments import add_market, add_span, add_timeframe, check_order, market_named
from datastore.management.progress import Progress
from datastore.models import DatastoreRequest, FetchRequest, Market
from datastore.reference.provider_clock import provider_now
from datastore.reference.provider_registry import traits_of
from datastore.requests.endings import end_answered
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
        parser.add_argument(
            "--trades", action="store_true", help="fetch trades, of which the candles are made, in place of candles"
        )
        parser.add_argument("--yes", action="store_true", help="with --trades: do not ask whether that is too much")

    def handle(
        self,
        *args: Any,
        market: str,
        timeframe: str,
        start: datetime,
        stop: datetime | None,
        no_wait: bool,
        again: bool,
        trades: bool,
        yes: bool,
        **options: Any,
    ) -> None:
        """Request the span, show its pages until the end, then how much is there; raise CommandError if not all is."""
        named = market_named(market)
        now = provider_now(named.provider)
        check_order(start, stop or (now if trades else None))
        asked = Asked(named, timeframe, start, stop or now)
        if trades:
            if again:
                raise CommandError("--again is about candles: leave it out, or --trades.")
            self._bring_trades(asked, no_wait, yes)
        else:
            self._bring_candles(asked, now, no_wait, again)

    def _bring_candles(self, asked: Asked, now: datetime, no_wait: bool, again: bool) -> None:
        frame, purpose = TIMEFRAMES[asked.timeframe], FetchRequest.Purpose.BACKFILL
        candles = traits_of(asked.market.provider).candles
        spans = list(final_spans(candles, frame.base, frame.floor(asked.start), frame.ceil(asked.stop), now))
        request = request_spans(asked.market, asked.timeframe, spans, purpose, again=again)
        if request is None:
            self.stdout.write("There is nothing to fetch.")
            self._report(asked)
            return
        self.stdout.write(
            f"{request.name}: {counted(len(request.fetches), 'span')} of {request.market} {asked.timeframe} requested."
        )
        if not no_wait and (failure := self._wait(request)) is not None:
            self._report(asked, failure)

    def _bring_trades(self, asked: Asked, no_wait: bool, yes: bool) -> None:
        """Say what it takes, ask whether to go on, request the trades, and say what is proven by them in the end."""
        asked = replace(asked, start=TIMEFRAMES["1m"].floor(asked.start))
        try:
            if parts := missing_parts(asked.market, asked.start, asked.stop):
                found = estimate(asked.market, parts)
                reach = f" back to {parts[0].start:%Y-%m-%d %H:%M} UTC" if parts[0].first is None else ""
                self.stdout.write(
                    f"About {counted(found.trades, 'trade')} of {asked.market.symbol}{reach}: "
                    f"{counted(found.calls, 'call')} of {asked.market.provider}, {_length(found.seconds)} if nothing "
                    f"more urgent comes, {found.size / 1e6:,.1f} MB of disk."
                )
                if not yes and sys.stdin.isatty() and input("Go on? [y/N] ").strip().lower() not in ("y", "yes"):
                    raise CommandError("Nothing was requested.")
            request = request_trade_history(asked.market, asked.start, asked.stop)
        except CannotBackfill as exc:
            raise CommandError(str(exc)) from None
        failure: str | None = ""
        if request is None:
            self.stdout.write("There is nothing to fetch.")
        else:
            self.stdout.write(f"{request.name}: trades of {request.market} requested.")
            failure = None if no_wait else self._wait(request)
        if failure is not None:
            asked.market.refresh_from_db()
            stop = TIMEFRAMES["1m"].floor(min(asked.stop, asked.market.live_stop or asked.start))
            whole = max(0, (stop - asked.start) // timedelta(minutes=1))
            proven = proven_minutes(asked.market, asked.start, stop) if whole else 0
            line = f"{asked.market.symbol}: the venue's ids prove {proven:,} of {counted(whole, 'minute')}."
            if failure or proven < whole:
                raise CommandError(f"{failure}{line}" + (" See manage.py gaps." if proven < whole else ""))
            self.stdout.write(line)

    def _wait(self, request: DatastoreRequest) -> str | None:
        """Show the pages until the end; return why the request failed, an empty text if not, None if interrupted."""
        if not coordinator_runs():
            raise CommandError(f"{NO_COORDINATOR}. The request is kept until one runs (manage.py up).")
        try:
            progress = Progress(self.stdout)
            while (found := DatastoreRequest.objects.get(pk=request.pk)).state == State.WAITING_FOR_DATA:
                self._show(progress, found)
                Event().wait(POLL_INTERVAL_S)
            self._show(progress, found)
            progress.end()
            end_answered([found.name], by="manage.py backfill")
            return f"{found.name} failed: {found.last_error}. " if found.state == State.ERROR else ""
        except KeyboardInterrupt:
            self.stdout.write(f"\nIt goes on in the background: GET /api/v1/requests/{request.pk} shows its progress.")
            return None

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


def _length(seconds: float) -> str:
    if seconds < 90:
        return counted(max(1, round(seconds)), "second")
    return counted(round(seconds / 60), "minute") if seconds < 5400 else f"{seconds / 3600:,.1f} hours"
