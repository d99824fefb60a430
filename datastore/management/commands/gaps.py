from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand

from datastore.blockers import Blockers, active_requests, touching
from datastore.coverage.completeness import described
from datastore.management.arguments import add_market, add_span, add_timeframe, check_order, market_named
from datastore.models import FetchRequest
from datastore.series.reader import Segment, read_series
from datastore.timeframes.timeframe import TIMEFRAMES
from datastore.wording import counted

DEFAULT_CANDLES = 1500  # as many as the first start fetches
HEADINGS = ("FROM", "TO", "LENGTH", "STATE", "WHY", "REPAIR")


class Command(BaseCommand):
    """List what is missing of a market, and what is done about it."""

    help = "List the gaps of a market with their reasons, and what is done about each."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take market, timeframe and span."""
        add_market(parser)
        add_timeframe(parser)
        add_span(parser, required=False, default=f"default: the newest {DEFAULT_CANDLES} candles")

    def handle(
        self, *args: Any, market: str, timeframe: str, start: datetime | None, stop: datetime | None, **options: Any
    ) -> None:
        """Print the gaps of the certificate."""
        check_order(start, stop)
        found = market_named(market)
        series = read_series(found, timeframe, start, stop, limit=None if start else DEFAULT_CANDLES)
        gaps = [segment for segment in series.segments if segment.incomplete]
        where = f"{found.symbol} {timeframe}, {_time(series.start)} to {_time(series.stop)} UTC"
        if not gaps:
            self.stdout.write(f"{where}: no gap; {described(series.completeness)}.")
            return
        missing = sum((segment.stop - segment.start for segment in gaps), timedelta())
        self.stdout.write(f"{where}: {counted(len(gaps), 'gap')}, {missing} in all; {described(series.completeness)}.")

        base = TIMEFRAMES[timeframe].base
        rows = [HEADINGS]
        requests, blockers = active_requests([found.pk])[found.pk], Blockers()
        for gap in gaps:
            times = _time(gap.start), _time(gap.stop), str(gap.stop - gap.start)
            own = touching(requests, base, gap.start, gap.stop)
            rows.append((*times, gap.state, gap.reason or "", _repair(gap, own, blockers)))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.stdout.write(line.rstrip())


def _repair(gap: Segment, requests: Sequence[FetchRequest], blockers: Blockers) -> str:
    """Return what is done about a gap, or what that waits for; requests: those of its time that have not ended."""
    if gap.repair and gap.repair["final"]:
        return f"final: {gap.repair['reason']}"
    if work := blockers.of_gap(requests):
        return work
    if gap.repair is None:
        return "not requested yet"
    again = gap.repair["next_try"]
    return f"{gap.repair['attempts']} tries" + (f", next {_time(datetime.fromisoformat(again))}" if again else "")


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
