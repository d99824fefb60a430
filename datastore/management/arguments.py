"""Arguments that several commands share, parsed as the API parses them."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from django.core.management.base import CommandError

from datastore.api.errors import Problem
from datastore.api.params.market_lookup import find_market
from datastore.api.params.times import parse_instant
from datastore.models import Market
from datastore.timeframes.timeframe import TIMEFRAMES

T = TypeVar("T")


def add_market(parser: ArgumentParser) -> None:
    """Take a market in any spelling that the API accepts."""
    parser.add_argument("market", help="e.g. coinbase:BTC-USD, or BTC/USD if only one market has that pair")


def add_timeframe(parser: ArgumentParser) -> None:
    """Take a timeframe, a minute by default."""
    parser.add_argument("--timeframe", choices=list(TIMEFRAMES), default="1m", metavar="TIMEFRAME", help="1m … 1M")


def add_span(parser: ArgumentParser, *, required: bool, default: str) -> None:
    """Take --from and --to as `start` and `stop`; default: the help text for an omitted --from."""
    parser.add_argument(
        "--from", dest="start", type=argument_type(parse_instant), required=required, help=f"ISO 8601 or ms; {default}"
    )
    parser.add_argument(
        "--to", dest="stop", type=argument_type(parse_instant), help="the first moment after the span; default: now"
    )


def market_named(text: str) -> Market:
    """Return the market of that name; raise CommandError with similar names."""
    try:
        return find_market(text)
    except Problem as exc:
        raise CommandError(exc.detail) from None


def check_order(start: datetime | None, stop: datetime | None) -> None:
    """Raise CommandError if the span ends before it starts."""
    if start is not None and stop is not None and start >= stop:
        raise CommandError("--from must be before --to.")


def argument_type(parse: Callable[[str], T]) -> Callable[[str], T]:
    """Return a parser of an API parameter as an argparse type, with the same error messages."""

    def argument(text: str) -> T:
        try:
            return parse(text)
        except ValueError as exc:
            raise ArgumentTypeError(f"{text!r} {exc}") from None

    return argument
