"""Fills: the trades whose ids are missing are asked for by their ids, so that candles are what they would have been.

A fill is a FetchRequest of the resolution TRADES, with the ids that it asks for. It goes through the same queue as
candles do, by the same Producers, and its trades come back on the topic of the live ones: one write path stores both,
and the stored ids say what is still missing. So a fill that is repeated, cut off or overtaken by the feed changes
nothing. Where the venue no longer has the trades, the fill fails and the gap is filled with candles as any other.

A backfill (trade_backfill.py) is a fill whose first id is not known yet: all that was traded between a time and the
oldest stored trade. Once the venue's answer names the first one it is a fill by ids as any other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from actor_runtime.steady_time import SteadyNow
from datastore.backfill.completion import end, fall_short
from datastore.coverage.missing_ids import MissingIds, missing_ids
from datastore.db.news import Subject, tell
from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement
from datastore.models import FetchRequest, Market
from datastore.reference.markets import feed_markets
from datastore.reference.provider_clock import provider_now
from datastore.reference.provider_registry import traits_of
from datastore.reference.traits import TradeTraits
from datastore.wording import counted

PAGES_PER_JOIN = 5  # of the provider's: holes that so many bring together are one fill
# Trades may overtake each other on their way; a venue that leaves trades out leaves out many, which one call brings.
FILL_DELAY, OMITTED_FILL_DELAY = timedelta(seconds=1), timedelta(seconds=8)
RETRY_FAILED_FILL_AFTER = timedelta(hours=1)
SHORTEST = timedelta(microseconds=1)  # no request is empty, also where all its trades have one time

State = FetchRequest.State


@dataclass(frozen=True, slots=True)
class StoredTrade:
    """One end of a stored range: the trade's own id, its time, and the first and last of the ids that it covers."""

    id: str
    ts: datetime
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class FillBounds:
    """What a fill asks for: all trades between two stored ones; without `before`, up to the newest.

    since: from when on, where no trade before is stored.
    """

    missing: int  # trades, about as many where it is not known
    after: StoredTrade | None
    before: StoredTrade | None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """How many trades a market makes a second, and how many rows one of them takes: fewer than one if aggregated."""

    per_second: float
    rows_per_trade: float

    def trades_in(self, time: timedelta) -> int:
        """Return about how many trades are made in so much time."""
        return max(0, round(self.per_second * time.total_seconds()))


def request_fills(market_ids: Collection[int] | None = None) -> list[FetchRequest]:
    """Request the trades that are missing of these markets, or of all with a feed; return the new requests."""
    by_market: dict[int, list[MissingIds]] = {}
    for one in missing_ids(market_ids):
        by_market.setdefault(one.market_id, []).append(one)
    if not by_market:
        return []
    taken = _taken(by_market)
    lacking = [market_id for market_id, holes in by_market.items() if _without(holes, taken[market_id])]
    fed = sorted(feed_markets().filter(pk__in=lacking).values_list("pk", flat=True))
    return [request for market_id in fed for request in _request(market_id, by_market[market_id])]


def request_newest_trades(known: Mapping[str, datetime]) -> list[FetchRequest]:
    """Ask for what followed the newest stored trade where only an answer of the REST API can prove that.

    For markets of providers whose stream may leave trades out, once in each minute of theirs; return the new requests.
    known: the providers' times.
    """
    times = {name: now for name, now in known.items() if traits_of(name).stream.may_omit}
    asked = _open_ended().values("market")
    made = []
    streamed = feed_markets().filter(provider__in=times, live_stop__isnull=False)
    for market in streamed.exclude(pk__in=asked).order_by("pk"):
        over = times[market.provider].replace(second=0, microsecond=0)
        if market.live_stop is not None and market.live_stop < over:
            with transaction.atomic():
                locked = Market.objects.select_for_update(no_key=True).get(pk=market.pk)
                newest = fetch_all(statement("fills", "newest"), {"market": market.pk})
                if newest and not _open_ended().filter(market=locked).exists():
                    ((last, until),) = newest
                    made.append(add_fill(locked, (last + 1, None), until, over))
    return made


def bounds_of_fill(request: FetchRequest) -> FillBounds | None:
    """Return what is left to fill of a request, None if nothing is."""
    if request.last_id is None:
        after = None if request.first_id is None else _stored(request.market_id, last=request.first_id - 1)
        return None if after is None else FillBounds(0, after, None)

    last = request.last_id
    if request.purpose == FetchRequest.Purpose.BACKFILL:  # which may begin below all that is stored
        values = {"market": request.market_id, "first": request.first_id, "last": last, "since": request.start}
        missing = [(low, high) for low, high in fetch_all(statement("fills", "not_stored"), values)]
    else:
        first = request.first_id or 0
        holes = missing_ids([request.market_id])
        missing = [(max(one.first, first), min(one.last, last)) for one in holes if _overlaps(one, first, last)]
    if not missing:
        return None
    after = _stored(request.market_id, last=missing[0][0] - 1)
    before = _stored(request.market_id, first=missing[-1][1] + 1)
    if after is not None:
        return FillBounds(_count(missing), after, before)
    since = max(request.start, kept_since(request.market, provider_now(request.market.provider)))
    if before is not None and before.ts <= since:
        return None  # what is older would be refused
    if request.first_id is not None or before is None:
        return FillBounds(_count(missing), None, before, since)
    return FillBounds(pace_of(request.market).trades_in(before.ts - since), None, before, since)


def kept_since(market: Market, now: datetime) -> datetime:
    """Return before when a market's trades are refused, or deleted already, at the provider's time `now`."""
    oldest = now - timedelta(days=settings.TICK_RETENTION_DAYS)
    return oldest if market.ticks_from is None else max(oldest, market.ticks_from)


def pace_of(market: Market) -> Pace:
    """Return how fast a market trades, as far as its stored trades tell."""
    ((per_second, rows_per_trade),) = fetch_all(statement("fills", "pace"), {"market": market.pk})
    return Pace(per_second or 0.0, rows_per_trade or 1.0)


def settle_fills(at: datetime) -> int:
    """End the fills that were published before a time of the database's clock; return how many.

    For a consumer that has stored everything that was in the topic at that time. What is still missing is asked for
    again, less and less soon.
    """
    waiting = FetchRequest.objects.filter(resolution=FetchRequest.TRADES, state=State.PUBLISHED, published_at__lt=at)
    found = list(waiting.values_list("pk", "market_id").order_by("market_id"))
    for request_id, market_id in found:
        with transaction.atomic():
            Market.objects.select_for_update(no_key=True).get(pk=market_id)
            request = FetchRequest.objects.select_for_update().get(pk=request_id)
            left = None if request.last_id is None else bounds_of_fill(request)
            if left is None:
                end(request)
            else:
                fall_short(request, f"the answer left out {counted(left.missing, 'trade')}")
    return len(found)


def active_fills(market_ids: Collection[int]) -> QuerySet[FetchRequest]:
    """Return the fills of these markets that have not ended."""
    return _active().filter(market__in=market_ids)


def add_fill(
    market: Market,
    ids: tuple[int | None, int | None],
    start: datetime,
    stop: datetime,
    purpose: int = FetchRequest.Purpose.GAP,
    delay: timedelta | None = None,
) -> FetchRequest:
    """Request the trades of these ids, the first and the last, which were traded in [start, stop].

    The market is locked. delay: for which no job begins it.
    """
    tell(Subject.WORK)
    return FetchRequest.objects.create(
        market=market,
        resolution=FetchRequest.TRADES,
        first_id=ids[0],
        last_id=ids[1],
        start=start,
        stop=max(stop, start + SHORTEST),
        purpose=purpose,
        next_try=None if delay is None else SteadyNow() + delay,
    )


def joined_holes(holes: Iterable[MissingIds], history: TradeTraits) -> list[tuple[int, int, datetime, datetime]]:
    """Return (first, last, low, high) of holes, those together that few pages bring."""
    most = PAGES_PER_JOIN * history.rows_per_page
    found: list[tuple[int, int, datetime, datetime]] = []
    for hole in holes:
        if found and hole.last - found[-1][0] < most:
            first, _, low, high = found.pop()
            found.append((first, hole.last, min(low, hole.low), max(high, hole.high)))
        else:
            found.append((hole.first, hole.last, hole.low, hole.high))
    return found


def _request(market_id: int, holes: Sequence[MissingIds]) -> list[FetchRequest]:
    """Request what no request is under way for, under the market's lock; what failed lately waits."""
    with transaction.atomic():
        market = Market.objects.select_for_update(no_key=True).get(pk=market_id)
        traits = traits_of(market.provider)
        if traits.trades is None:
            return []
        lacking = _without(holes, _taken([market_id])[market_id])
        delay = OMITTED_FILL_DELAY if traits.stream.may_omit else FILL_DELAY
        return [
            add_fill(market, (first, last), low, high, delay=delay)
            for first, last, low, high in joined_holes(lacking, traits.trades)
        ]


def _active() -> QuerySet[FetchRequest]:
    return FetchRequest.objects.filter(resolution=FetchRequest.TRADES, state__in=FetchRequest.ACTIVE)


def _open_ended() -> QuerySet[FetchRequest]:
    """Return what is under way up to the newest trade there is."""
    return _active().filter(last_id=None)


def _taken(market_ids: Collection[int]) -> dict[int, list[tuple[int, int]]]:
    """Return by market the ids that are not to be asked for: a fill is under way, or failed lately."""
    recent = Q(state=State.FAILED, finished_at__gt=SteadyNow() - RETRY_FAILED_FILL_AFTER)
    known = FetchRequest.objects.filter(
        Q(state__in=FetchRequest.ACTIVE) | recent,
        market__in=market_ids,
        resolution=FetchRequest.TRADES,
        last_id__isnull=False,
    )
    taken: dict[int, list[tuple[int, int]]] = {market_id: [] for market_id in market_ids}
    for market_id, first, last in known.values_list("market_id", "first_id", "last_id"):
        taken[market_id].append((first or 0, last or 0))
    return taken


def _count(missing: Sequence[tuple[int, int]]) -> int:
    return sum(last - first + 1 for first, last in missing)


def _without(holes: Iterable[MissingIds], taken: Sequence[tuple[int, int]]) -> list[MissingIds]:
    return [hole for hole in holes if not any(_overlaps(hole, first, last) for first, last in taken)]


def _overlaps(hole: MissingIds, first: int, last: int) -> bool:
    return hole.first <= last and hole.last >= first


def _stored(market_id: int, *, first: int | None = None, last: int | None = None) -> StoredTrade | None:
    """Return the stored trade whose ids begin with `first`, or end with `last`; None if there is none."""
    rows: list[Any] = fetch_all(statement("fills", "stored"), {"market": market_id, "first": first, "last": last})
    return StoredTrade(*rows[0]) if rows else None
