from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from datastore.backfill.newest import request_newest
from datastore.management.arguments import market_named
from datastore.reference import pairs
from datastore.reference.markets import ensure_markets, unfollow
from datastore.symbol import BadSymbol
from datastore.wording import counted


class Command(BaseCommand):
    """Follow more markets, or stop following some."""

    help = "Follow more markets: their newest history is requested, and their trades are stored within seconds."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the markets' symbols."""
        parser.add_argument("market", nargs="+", help="exchange:BASE-QUOTE, e.g. kraken:SOL-EUR")
        parser.add_argument("--unfollow", action="store_true", help="stop following them; their stored data stays")

    def handle(self, *args: Any, market: list[str], unfollow: bool, **options: Any) -> None:
        """Print what happens next to each market."""
        for line in _unfollow(market) if unfollow else _follow(market):
            self.stdout.write(line)


def _follow(names: list[str]) -> list[str]:
    # Until the provider's list was read once, every market is assumed to exist.
    symbols = [market_named(name).symbol for name in names] if pairs.is_known() else names
    try:
        markets = ensure_markets(symbols)
    except BadSymbol as exc:
        raise CommandError(f"{exc}.") from None
    requested = [(market.symbol, len(request_newest([market]))) for market in markets]
    return [f"{symbol} is followed; requested of its history: {counted(spans, 'span')}." for symbol, spans in requested]


def _unfollow(names: list[str]) -> list[str]:
    lines = []
    for market in [market_named(name) for name in names]:
        was_followed = unfollow(market)
        lines.append(f"{market.symbol} {'is no longer' if was_followed else 'was not'} followed.")
    return lines
