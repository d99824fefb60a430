from __future__ import annotations

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from datastore.clock import provider_now
from datastore.management.arguments import add_market, add_span, check_order, market_named
from datastore.verify import Difference, differences

SHOWN = 50


class Command(BaseCommand):
    """Make a market's candles again from its trades and compare them with the stored ones."""

    help = "Recompute candles from trades and compare to the digit; exit 1 on a difference. Whole UTC days."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take market and span."""
        add_market(parser)
        add_span(parser, required=True, default="its whole UTC day counts")

    def handle(self, *args: Any, market: str, start: datetime, stop: datetime | None, **options: Any) -> None:
        """Print each difference; raise CommandError, which exits with 1, where there is one."""
        stop = stop or provider_now()
        check_order(start, stop)
        found = market_named(market)
        wrong = differences(found, start, stop)
        for one in wrong[:SHOWN]:
            self.stdout.write(told(one))
        if wrong:
            raise CommandError(f"{len(wrong)} candles of {found.symbol} are not what their trades make.")
        self.stdout.write(f"{found.symbol}: every candle is what its trades make.")


def told(one: Difference) -> str:
    """Return both sides of a difference as one line."""
    stored, computed = (" ".join(side) if side else "nothing" for side in (one.stored, one.computed))
    return f"{one.open_time:%Y-%m-%d %H:%M} {one.resolution} s: stored {stored}; from trades {computed}"
