from __future__ import annotations

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from datastore.engines.rollups import database_engine
from datastore.management.arguments import add_market, add_span, check_order, market_named
from datastore.models import CandleDifference
from datastore.quality.reconciliation import compared_minutes, lasting_differences
from datastore.quality.verify import Difference, Verification
from datastore.reference.provider_clock import provider_now
from datastore.wording import counted

MAX_SHOWN = 50  # differences of each kind
NOTHING_CHECKED = 2  # exit status


class Command(BaseCommand):
    """Compare a market's candles with its trades, and list what reconciliation with the provider found."""

    help = (
        "Compute the candles of whole UTC days again from their trades, compare every digit, and list the differences "
        "from the provider's candles that reconciliation has found. Exit with 1 if there is any difference, with 2 if "
        "no candle could be checked."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take market and span."""
        add_market(parser)
        add_span(parser, required=True, default="its whole UTC day is verified")
        parser.add_argument(
            "--heal",
            action="store_true",
            help="rebuild the days of differing candles from their trades, then compare again",
        )

    def handle(
        self, *args: Any, market: str, start: datetime, stop: datetime | None, heal: bool, **options: Any
    ) -> None:
        """Print what was checked and each difference; raise CommandError if any is left or nothing was checked."""
        found = market_named(market)
        stop = stop or provider_now(found.provider)
        check_order(start, stop)
        engine = database_engine()
        verified = engine.verify(found, start, stop)
        compared = compared_minutes(found, start, stop)
        for line in counts(found.symbol, verified, compared):
            self.stdout.write(line)
        wrong = verified.differences
        for one in wrong[:MAX_SHOWN]:
            self.stdout.write(difference_line(one))
        if heal and wrong:
            engine.heal(found, wrong)
            left = engine.verify(found, start, stop).differences
            self.stdout.write(f"Healed {len(wrong) - len(left)} of {counted(len(wrong), 'candle')}.")
            wrong = left
        unlike = lasting_differences(found, start, stop)
        for difference in unlike[:MAX_SHOWN]:
            self.stdout.write(provider_difference_line(difference))

        errors = []
        if wrong:
            errors.append(f"{counted(len(wrong), 'candle')} of {found.symbol}: not what the trades make.")
        if unlike:
            errors.append(f"{counted(len(unlike), 'minute')} of {found.symbol}: not what the provider has.")
        if errors:
            raise CommandError(" ".join(errors))
        if not verified.checked:
            raise CommandError(f"{found.symbol}: nothing was checked, so nothing is known.", returncode=NOTHING_CHECKED)
        beside = "; no difference from the provider is known" if compared else ""
        self.stdout.write(f"{found.symbol}: every checked candle matches its trades{beside}.")


def counts(symbol: str, found: Verification, compared: int) -> list[str]:
    """Return what was checked, from what, and what could not be."""
    reasons = found.unchecked if found.unchecked or found.checked else ["no trade and no candle is stored there"]
    return [
        f"{symbol}: {counted(found.checked, 'candle')} checked, from {counted(found.trades, 'trade')}.",
        *(f"{reason[0].upper()}{reason[1:]}." for reason in reasons),
        f"Reconciliation compared {counted(compared, 'minute')} with the provider's.",
    ]


def provider_difference_line(one: CandleDifference) -> str:
    """Return both sides of a difference from the provider as one line."""
    ours, theirs = (
        " ".join(number or "-" for number in side) if side else "no trades" for side in (one.ours, one.theirs)
    )
    return f"{one.open_time:%Y-%m-%d %H:%M} 60 s: stored {ours}; the provider {theirs}"


def difference_line(one: Difference) -> str:
    """Return both sides of a difference as one line."""
    stored, computed = (" ".join(side) if side else "nothing" for side in (one.stored, one.computed))
    return f"{one.open_time:%Y-%m-%d %H:%M} {one.resolution} s: stored {stored}; from trades {computed}"
