"""Backfills of trades: history that is ours bit by bit, as far back as a person asks and the venue keeps it.

What is missing since a time is the holes between stored ids and what was traded before the oldest of them. Both are
fetched as fills (trade_fill.py). Where pages are asked for by id, they go down from the oldest stored trade, so that
what is stored has no hole at any moment. Where they are asked for by time, they begin there and go up: what a kill
leaves open lies between stored ids, where the next job, or any fill, finds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max

from datastore.backfill.trade_fill import active_fills, add_fill, joined_holes, kept_since, pace_of
from datastore.coverage.missing_ids import missing_ids
from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement
from datastore.models import FetchRequest, Market, Tick
from datastore.models.trade import IMPORTED
from datastore.reference.call_limits import calls_allowed
from datastore.reference.provider_clock import provider_now
from datastore.reference.provider_registry import traits_of
from datastore.reference.traits import PageBy, TradeTraits
from datastore.timeframes.intervals import SECOND_US, union, whole

TRADES_BEFORE = 100  # about so many trades before the time asked for come too: the last of them proves the first minute
MAX_BEFORE = timedelta(hours=1)
SECONDS_PER_PAGE = 0.25  # that a page takes at least, however many calls are allowed
BYTES_PER_TRADE = 160  # in the table of trades, with its index: measured
MINUTE_US = 60 * SECOND_US


class CannotBackfill(ValueError):
    """Trades cannot be brought for this question, with the reason and the way out."""


@dataclass(frozen=True, slots=True)
class Part:
    """Ids to ask for, traded in [start, stop); without `first`: all that were traded since start."""

    first: int | None
    last: int
    start: datetime
    stop: datetime

    def overlaps(self, request: FetchRequest) -> bool:
        """Return whether a request asks for any of these ids."""
        return (request.first_id or 0) <= self.last and (request.last_id or 0) >= (self.first or 0)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a backfill will take: about how many trades, calls, seconds and bytes."""

    trades: int
    calls: int
    seconds: float
    size: int


def missing_parts(market: Market, start: datetime, stop: datetime) -> list[Part]:
    """Return what is missing of a market's trades from start on, in the order of their ids. Raises CannotBackfill.

    stop: holes behind it are left out. What lies between start and the oldest stored trade is always a part: without
    it there would be a hole.
    """
    history = _history(market)
    _check_kept(market, start)
    rows: list[Any] = fetch_all(statement("fills", "oldest"), {"market": market.pk, "since": start})
    if not rows:
        raise CannotBackfill(
            f"No trade of {market.symbol} since --from is stored yet, and older ones are counted from there: have it "
            f"followed (manage.py add_market {market.symbol}) and try again after its next trade."
        )
    ((oldest, traded),) = rows
    holes = [one for one in missing_ids([market.pk]) if one.low < stop and one.high > start and one.first > oldest]
    parts = [Part(*found) for found in joined_holes(holes, history)]
    if traded <= start:
        return parts
    older = Tick.objects.filter(market=market, ts__lt=traded, trade_id__startswith=IMPORTED)
    if (there := older.aggregate(newest=Max("ts"))["newest"]) is not None:
        raise CannotBackfill(
            f"Trades of {market.symbol} without ids were imported, up to {there:%Y-%m-%d %H:%M:%S} UTC: those that the "
            f"venue has of the time before {traded:%Y-%m-%d %H:%M:%S} UTC would count twice."
        )
    begin = start
    if history.page_by is PageBy.TIME and (pace := pace_of(market)).per_second:
        begin = max(start - min(timedelta(seconds=TRADES_BEFORE / pace.per_second), MAX_BEFORE), _kept(market))
    return [Part(None, oldest - 1, begin, traded), *parts]


def request_trades(market: Market, start: datetime, stop: datetime) -> list[FetchRequest]:
    """Request what is missing; return every request that will bring a part of it. Raises CannotBackfill.

    The market stays locked to the end of the transaction. What is under way is not asked for again.
    """
    with transaction.atomic():
        locked = Market.objects.select_for_update(no_key=True).get(pk=market.pk)
        active = list(active_fills([market.pk]).filter(last_id__isnull=False).order_by("id"))
        found: dict[int, FetchRequest] = {}
        for part in missing_parts(locked, start, stop):
            known = [one for one in active if part.overlaps(one)]
            if part.first is None and known and (reach := min(one.start for one in known)) > start:
                raise CannotBackfill(
                    f"Trades back to {reach:%Y-%m-%d %H:%M} UTC are being fetched: ask for older ones afterwards."
                )
            if not known:
                ids = part.first, part.last
                known = [add_fill(locked, ids, part.start, part.stop, FetchRequest.Purpose.BACKFILL)]
            found.update({one.pk: one for one in known})
        return list(found.values())


def estimate(market: Market, parts: Sequence[Part]) -> Estimate:
    """Return what these parts will take, by the market's pace while its trades are stored."""
    traits, pace, page = traits_of(market.provider), pace_of(market), _history(market).rows_per_page
    trades = [pace.trades_in(one.stop - one.start) if one.first is None else one.last - one.first + 1 for one in parts]
    rows = [round(count * pace.rows_per_trade) for count in trades]
    calls = sum(max(1, -(-count // page)) for count in rows)
    return Estimate(
        sum(trades),
        calls,
        calls * max([SECONDS_PER_PAGE, *(seconds / limit for seconds, limit in calls_allowed(traits).items())]),
        sum(rows) * BYTES_PER_TRADE,
    )


def proven_minutes(market: Market, start: datetime, stop: datetime) -> int:
    """Return how many whole minutes of [start, stop) the venue's ids prove."""
    values = {"market": market.pk, "start": start, "stop": stop}
    spans = union((low, high) for low, high in fetch_all(statement("fills", "proven_by_ids"), values))
    return sum((high - low) // MINUTE_US for low, high in whole(spans, MINUTE_US))


def _history(market: Market) -> TradeTraits:
    traits = traits_of(market.provider)
    if traits.trades is None:
        raise CannotBackfill(f"{traits.name} has no history of trades: leave --trades out, and candles are fetched.")
    return traits.trades


def _kept(market: Market) -> datetime:
    return kept_since(market, provider_now(market.provider))


def _check_kept(market: Market, start: datetime) -> None:
    """Raise CannotBackfill if trades of that time would be refused."""
    kept = _kept(market)
    if start >= kept:
        return
    days, limit = settings.TICK_RETENTION_DAYS, f"{kept:%Y-%m-%d %H:%M:%S} UTC"
    if kept == market.ticks_from:
        raise CannotBackfill(
            f"--from is before {limit}: older trades of {market.symbol} were deleted (TICK_RETENTION_DAYS), and are "
            "not taken again. Take a later --from."
        )
    raise CannotBackfill(
        f"--from is before {limit}: trades are kept for {days} days (TICK_RETENTION_DAYS), and older ones are refused. "
        "Take a later --from, or start Candlekeep with a greater TICK_RETENTION_DAYS."
    )
