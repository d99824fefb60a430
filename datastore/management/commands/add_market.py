from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from datastore.clock import provider_now
from datastore.fetches import Purpose, ask
from datastore.markets import BadSymbol, ensure_markets
from datastore.models import Market
from datastore.timeframes import BASE

NEWEST = 1500  # candles of each stored resolution: as many as the first start fetches


class Command(BaseCommand):
    """Add markets to those that are kept."""

    help = "Keep further markets: their newest history is asked for now, their trades from the next connection on."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the markets' symbols."""
        parser.add_argument("market", nargs="+", help="exchange:BASE-QUOTE, e.g. kraken:SOL-EUR")

    def handle(self, *args: Any, market: list[str], **options: Any) -> None:
        """Make the rows, ask for history, and say what happens next."""
        try:
            found = ensure_markets(market)
        except BadSymbol as exc:
            raise CommandError(f"{exc}.") from None
        for one in found:
            spans = _ask_newest(one)
            self.stdout.write(f"{one.symbol} is kept; {spans} span(s) of its history are being asked for.")
        self.stdout.write("Their trades come from the producer's next connection on: restart it to have them now.")


def _ask_newest(market: Market) -> int:
    now = provider_now()
    spans = ((resolution, now - NEWEST * timedelta(seconds=resolution)) for resolution in BASE)
    return sum(len(ask(market, resolution, start, now, Purpose.SCHEDULE)) for resolution, start in spans)
