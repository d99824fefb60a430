from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from datastore.backfill.newest import request_newest
from datastore.management.arguments import market_named
from datastore.reference import pairs
from datastore.reference.markets import BadSymbol, ensure_markets, unfollow


class Command(BaseCommand):
    """Follow further markets, or let some go."""

    help = "Follow further markets: their newest history is asked for, and their trades are taken within seconds."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the markets' symbols."""
        parser.add_argument("market", nargs="+", help="exchange:BASE-QUOTE, e.g. kraken:SOL-EUR")
        parser.add_argument("--unfollow", action="store_true", help="let them go; what is stored of them stays")

    def handle(self, *args: Any, market: list[str], unfollow: bool, **options: Any) -> None:
        """Say what happens next to each."""
        for told in _unfollowed(market) if unfollow else _followed(market):
            self.stdout.write(told)


def _followed(names: list[str]) -> list[str]:
    # Before the provider's list was read once, a market is believed to be there.
    symbols = [market_named(name).symbol for name in names] if pairs.is_known() else names
    try:
        markets = ensure_markets(symbols)
    except BadSymbol as exc:
        raise CommandError(f"{exc}.") from None
    asked = [(market.symbol, len(request_newest([market]))) for market in markets]
    return [f"{symbol} is followed; {spans} span(s) of its history are being asked for." for symbol, spans in asked]


def _unfollowed(names: list[str]) -> list[str]:
    left = [(market.symbol, unfollow(market)) for market in map(market_named, names)]
    return [f"{symbol} {'is' if was else 'was'} not followed{' any more' if was else ''}." for symbol, was in left]
