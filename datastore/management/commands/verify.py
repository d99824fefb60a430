from __future__ import annotations

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from datastore.engines.rollups import database_engine
from datastore.management.arguments import add_market, add_span, check_order, market_named
from datastore.models import CandleDifference
from datastore.quality.reconciliation import lasting_differences
from datastore.quality.verify import Difference
from datastore.reference.provider_clock import provider_now

SHOWN = 50


class Command(BaseCommand):
    """Make a market's candles again from its trades, compare, and tell what reconciliation with the provider found."""

    help = (
        "Recompute candles from trades and compare to the digit, whole UTC days, and list the differences with the "
        "provider's candles that reconciliation has found; exit 1 where there is any."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take market and span."""
        add_market(parser)
        add_span(parser, required=True, default="its whole UTC day counts")
        parser.add_argument(
            "--heal", action="store_true", help="make the days of differing candles anew from their trades, look again"
        )

    def handle(
        self, *args: Any, market: str, start: datetime, stop: datetime | None, heal: bool, **options: Any
    ) -> None:
        """Print each difference; raise CommandError, which exits with 1, where there is one (still, after healing)."""
        stop = stop or provider_now()
        check_order(start, stop)
        found = market_named(market)
        engine = database_engine()
        wrong = engine.differences(found, start, stop)
        for one in wrong[:SHOWN]:
            self.stdout.write(difference_line(one))
        if heal and wrong:
            engine.heal(found, wrong)
            left = engine.differences(found, start, stop)
            self.stdout.write(f"Healed {len(wrong) - len(left)} of {len(wrong)} candles.")
            wrong = left
        unlike = lasting_differences(found, start, stop)
        for kept in unlike[:SHOWN]:
            self.stdout.write(provider_difference_line(kept))
        if faults := _faults(found.symbol, len(wrong), len(unlike)):
            raise CommandError(" ".join(faults))
        self.stdout.write(
            f"{found.symbol}: every candle is what its trades make; no difference with the provider is known."
        )


def _faults(symbol: str, wrong: int, unlike: int) -> list[str]:
    made = [f"{wrong} candles of {symbol} are not what their trades make."] if wrong else []
    return made + ([f"{unlike} minutes of {symbol} are not the provider's."] if unlike else [])


def provider_difference_line(one: CandleDifference) -> str:
    """Return both sides of a difference with the provider as one line."""
    ours, theirs = (" ".join(side) if side else "nothing traded" for side in (one.ours, one.theirs))
    return f"{one.open_time:%Y-%m-%d %H:%M} 60 s: stored {ours}; the provider {theirs}"


def difference_line(one: Difference) -> str:
    """Return both sides of a difference as one line."""
    stored, computed = (" ".join(side) if side else "nothing" for side in (one.stored, one.computed))
    return f"{one.open_time:%Y-%m-%d %H:%M} {one.resolution} s: stored {stored}; from trades {computed}"
