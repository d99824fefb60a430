"""Fills: the trades whose ids are missing are asked for by their ids, so that candles are what they would have been.

A fill is a FetchRequest of the resolution TRADES, with the ids that it asks for. It goes through the same queue as
candles do, by the same Producers, and its trades come back on the topic of the live ones: one write path stores both,
and the stored ids say what is still missing. So a fill that is repeated, cut off or overtaken by the feed changes
nothing. Where the venue no longer has the trades, the fill fails and the gap is filled with candles as any other.

A backfill (trade_backfill.py) is a fill whose first id is not known yet: all that was traded between a time and the
oldest stored trade. Once the venue's answer names the first one it is a fill by ids as any other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from actor_runtime.steady_time import SteadyNow
from datastore.backfill.completion import FIRST_RETRY_DELAY, MAX_SHORT_ANSWERS, RETRY_FACTOR
from datastore.coverage.missing_ids import MissingIds, missing_ids
from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement
from datastore.models import FetchRequest, Market
from datastore.reference.markets import feed_markets
from datastore.reference.provider_clock import known_times, provider_now
from datastore.reference.provider_registry import traits_of
from datastore.reference.traits import TradeTraits
from datastore.wording import counted

TRADES = 0  # the resolution of a request for trades
PAGES_PER_JOIN = 5  # of the provider's: holes that so many bring together are one fill
# Trades may overtake each other on their way; a venue that leaves trades out leaves out many, which one call brings.
FILL_DELAY, OMITTED_FILL_DELAY = timedelta(seconds=1), timedelta(seconds=8)
RETRY_FAILED_FILL_AFTER = timedelta(hours=1)

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
    fed = feed_markets().filter(pk__in=by_market).values_list("pk", flat=True) if by_market else ()
    return [request for market_id in sorted(fed) for request in _request(market_id, by_market[market_id])]


def request_newest_trades() -> list[FetchRequest]:
    """Ask for what followed the newest stored trade where only an answer of the REST API can prove that.

    For markets of providers whose stream may leave trades out, once in each minute of theirs; return the new requests.
    """
    times = {name: now for name, now in known_times().items() if traits_of(name).stream.may_omit}
    made = []
    for market in feed_markets().filter(provider__in=times, live_stop__isnull=False).order_by("pk"):
        over = times[market.provider].replace(second=0, microsecond=0)
        if market.live_stop is not None and market.live_stop < over:
            made += _request_newest(market.pk, over)
    return made


def bounds_of_fill(request: FetchRequest) -> FillBounds | None:
    """Return what is left to fill of a request, None if nothing is."""
    if request.last_id is None:
        after = None if request.first_id is None else _stored(request.market_id, last=request.first_id - 1)
        return None if after is None else FillBounds(0, after, None)
    missing = _missing(request)
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
    waiting = FetchRequest.objects.filter(resolution=TRADES, state=State.PUBLISHED, published_at__lt=at)
    found = list(waiting.values_list("pk", "market_id").order_by("market_id"))
    for request_id, market_id in found:
        with transaction.atomic():
            Market.objects.select_for_update(no_key=True).get(pk=market_id)
            request = FetchRequest.objects.select_for_update().get(pk=request_id)
            left = None if request.last_id is None else bounds_of_fill(request)
            if left is None:
                _end(request, State.DONE, None)
            else:
                _fall_short(request, f"the answer left out {counted(left.missing, 'trade')}")
    return len(found)


def fail_fill(request_id: int, worker: str, reason: str) -> bool:
    """End a fill that the venue cannot answer; its candles are asked for instead. False if the job has lost it."""
    held = FetchRequest.objects.filter(pk=request_id, worker=worker, state=State.FETCHING)
    ended = {"state": State.FAILED, "error": reason, "lease_until": None, "finished_at": SteadyNow()}
    return bool(held.update(**ended))


def note_pages(request_id: int, worker: str, done: int, total: int, first_id: int | None = None) -> bool:
    """Note how many pages of a fill are acknowledged; return False if the job has lost its request and must stop.

    first_id: with which id the trades begin that were asked for by time; from then on they are known by their ids.
    """
    held = FetchRequest.objects.filter(pk=request_id, worker=worker, state=State.FETCHING)
    begins = {} if first_id is None else {"first_id": first_id}
    return bool(held.update(pages_done=done, pages_total=total, error=None, **begins))


def active_fills(market_ids: Collection[int]) -> QuerySet[FetchRequest]:
    """Return the fills of these markets that have not ended."""
    return FetchRequest.objects.filter(market__in=market_ids, resolution=TRADES, state__in=FetchRequest.ACTIVE)


def _request(market_id: int, holes: Sequence[MissingIds]) -> list[FetchRequest]:
    """Request what no request is under way for, under the market's lock; what failed lately waits."""
    with transaction.atomic():
        market = Market.objects.select_for_update(no_key=True).get(pk=market_id)
        traits = traits_of(market.provider)
        if traits.trades is None:
            return []
        recent = Q(state=State.FAILED, finished_at__gt=SteadyNow() - RETRY_FAILED_FILL_AFTER)
        known = FetchRequest.objects.filter(
            Q(state__in=FetchRequest.ACTIVE) | recent, market=market, resolution=TRADES, last_id__isnull=False
        )
        taken = [(one.first_id or 0, one.last_id or 0) for one in known]
        delay = OMITTED_FILL_DELAY if traits.stream.may_omit else FILL_DELAY
        return [
            FetchRequest.objects.create(
                market=market,
                resolution=TRADES,
                start=low,
                stop=max(high, low + timedelta(microseconds=1)),
                first_id=first,
                last_id=last,
                purpose=FetchRequest.Purpose.GAP,
                next_try=SteadyNow() + delay,
            )
            for first, last, low, high in joined_holes(_without(holes, taken), traits.trades)
        ]


def _request_newest(market_id: int, over: datetime) -> list[FetchRequest]:
    with transaction.atomic():
        market = Market.objects.select_for_update(no_key=True).get(pk=market_id)
        newest = fetch_all(statement("fills", "newest"), {"market": market_id})
        if not newest or active_fills([market_id]).filter(last_id=None).exists():
            return []
        ((last, until),) = newest
        return [
            FetchRequest.objects.create(
                market=market,
                resolution=TRADES,
                start=until,
                stop=max(over, until + timedelta(microseconds=1)),
                first_id=last + 1,
                purpose=FetchRequest.Purpose.GAP,
            )
        ]


def _missing(request: FetchRequest) -> list[tuple[int, int]]:
    """Return the missing ids of a request as ranges, in ascending order."""
    last = request.last_id or 0
    if request.purpose == FetchRequest.Purpose.BACKFILL:  # which may begin below all that is stored
        values = {"market": request.market_id, "first": request.first_id, "last": last, "since": request.start}
        return [(low, high) for low, high in fetch_all(statement("fills", "not_stored"), values)]
    first = request.first_id or 0
    holes = missing_ids([request.market_id])
    return [(max(one.first, first), min(one.last, last)) for one in holes if _overlaps(one, first, last)]


def _count(missing: Sequence[tuple[int, int]]) -> int:
    return sum(last - first + 1 for first, last in missing)


def _without(holes: Iterable[MissingIds], taken: Sequence[tuple[int, int]]) -> Iterator[MissingIds]:
    return (hole for hole in holes if not any(_overlaps(hole, first, last) for first, last in taken))


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


def _overlaps(hole: MissingIds, first: int, last: int) -> bool:
    return hole.first <= last and hole.last >= first


def _stored(market_id: int, *, first: int | None = None, last: int | None = None) -> StoredTrade | None:
    """Return the stored trade whose ids begin with `first`, or end with `last`; None if there is none."""
    rows: list[Any] = fetch_all(statement("fills", "stored"), {"market": market_id, "first": first, "last": last})
    return StoredTrade(*rows[0]) if rows else None


def _fall_short(request: FetchRequest, error: str) -> None:
    request.fell_short += 1
    if request.fell_short >= MAX_SHORT_ANSWERS:
        _end(request, State.FAILED, error)
        return
    wait = FIRST_RETRY_DELAY * RETRY_FACTOR ** (request.fell_short - 1)
    request.state, request.error, request.next_try = State.QUEUED, error, SteadyNow() + wait
    request.published_at = request.lease_until = None
    request.save()


def _end(request: FetchRequest, state: str, error: str | None) -> None:
    request.state, request.error, request.lease_until, request.next_try = state, error, None, None
    request.finished_at = SteadyNow()
    request.save()
