"""The ledger of gaps: those that are stored with what is done about them, and those that the next scan will store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.http import QueryDict

from config.monitoring.cached_answer import CachedAnswer
from dashboard.paging import Page, chosen, page_of
from datastore.backfill.gap_survey import Survey, survey
from datastore.blockers import Blockers, active_requests, touching
from datastore.models import FetchRequest, GapRepair, Market
from datastore.reference.markets import feed_markets
from datastore.reference.provider_clock import known_times
from datastore.timeframes.intervals import micros_of, moment, subtract, union
from datastore.timeframes.timeframe import BASE, TIMEFRAMES

FETCHING, WAITING, FOUND, FINAL = "fetching", "waiting", "found", "final"
STATES = {
    FETCHING: "requested",
    WAITING: "waits for its next try",
    FOUND: "just found",
    FINAL: "final",
}
REASONS = {
    "socket": "connection lost",
    "silent": "feed fell silent",
    "wrong_time": "provider's clock was wrong",
    "numbers": "provider's numbering has a hole",
    "refused": "a trade was refused",
    "conflict": "two trades under one id",
    "subscription": "provider refused the feed",
    "stream": "records lost in the stream",
    "resubscribed": "subscribed again",
    "left": "was not followed",
    "stopped": "Candlekeep was stopped",
    "internal": "fault in Candlekeep",
    "other": "other",
    "never_began": "before the feed began",
    "stale": "feed said nothing more",
    "ids": "trades missing by their ids",
    "fetch": "cannot be fetched",
    "final": "provider will never have it",
}
BESIDE_BUCKETS = 40  # of a gap that is shown on a chart
MAX_MS = 253_402_300_799_000  # the end of the year 9999


@dataclass(frozen=True, slots=True)
class GapRow:
    """A gap; work: what is done about it, or what that waits for, None if nothing is."""

    number: int | None  # None: the next scan stores it
    symbol: str
    timeframe: str
    start: datetime
    stop: datetime
    code: str
    reason: str
    state: str
    attempts: int = 0
    next_try: datetime | None = None
    work: str | None = None

    @property
    def seconds(self) -> float:
        """Return how long it is."""
        return (self.stop - self.start).total_seconds()

    @property
    def state_words(self) -> str:
        """Return its state in words."""
        return STATES[self.state]

    @property
    def reason_words(self) -> str:
        """Return the kind of its reason in words; a code of a later version as it is."""
        return REASONS.get(self.code, self.code)

    @property
    def chart_url(self) -> str:
        """Return where a chart shows it, with some candles on either side."""
        frame = TIMEFRAMES[self.timeframe]
        beside = timedelta(seconds=frame.seconds) * BESIDE_BUCKETS
        newest = frame.floor(datetime.now(UTC)) - timedelta(seconds=frame.seconds)
        first, last = self.start - beside, max(min(self.stop + beside, newest), self.start)
        span = {"from": round(first.timestamp() * 1000), "to": round(last.timestamp() * 1000)}
        return f"/markets/{quote(self.symbol, safe=':')}?{urlencode({'timeframe': self.timeframe, **span})}"


@dataclass(frozen=True, slots=True)
class Filters:
    """Which gaps are asked for; at: those that hold this time."""

    market: str
    state: str
    reason: str
    at: datetime | None

    def __bool__(self) -> bool:
        return bool(self.market or self.state or self.reason or self.at)


@dataclass(frozen=True, slots=True)
class Ledger:
    """A page of stored gaps, and before the first page those that are not stored yet."""

    found: Page[GapRow]
    filters: Filters
    counts: Mapping[str, int]
    unknown: int  # markets with a feed of which no gap can be known before their provider's first stamp


def ledger(query: QueryDict) -> Ledger:
    """Return the gaps that a question asks for, the newest first, in a fixed number of statements."""
    filters = Filters(chosen(query, "market"), chosen(query, "state", STATES), chosen(query, "reason"), _at(query))
    page = page_of(_stored(filters).order_by("-start", "-id"), query)
    rows = _rows(page.rows)
    if page.number == 1 and filters.state in ("", FOUND):
        rows = [*(row for row in _unstored.get()[0] if _matches(row, filters)), *rows]
    return Ledger(replace(page, rows=rows), filters, _counts(), _unstored.get()[1])


def one_gap(number: int) -> tuple[GapRepair, GapRow] | None:
    """Return a gap and how it is shown; None if there is none with this id."""
    gap = _with_state(GapRepair.objects.filter(pk=number)).first()
    return None if gap is None else (gap, _rows([gap])[0])


def _survey() -> tuple[list[GapRow], int]:
    """Return the gaps of markets with a feed that the next scan will store, and how many of these cannot be judged."""
    known = known_times()
    with_feed = list(feed_markets().values_list("pk", "symbol", "provider"))
    symbols = {pk: symbol for pk, symbol, provider in with_feed if provider in known}
    rows = [row for one in survey(symbols) for row in _not_in_rows(one, symbols[one.market_id])] if symbols else []
    return sorted(rows, key=lambda row: row.start, reverse=True), len(with_feed) - len(symbols)


_unstored = CachedAnswer(_survey)


def _not_in_rows(one: Survey, symbol: str) -> Iterator[GapRow]:
    stored = union([*((micros_of(row.start), micros_of(row.stop)) for row in one.rows), *one.final])
    for gap in one.gaps:
        for low, high in subtract([(micros_of(gap.start), micros_of(gap.stop))], stored):
            where = (None, symbol, BASE[one.resolution].name, moment(low), moment(high))
            yield GapRow(*where, gap.code or "other", gap.reason or "", FOUND)


def _with_state(gaps: QuerySet[GapRepair]) -> QuerySet[Any]:
    same = Q(resolution=OuterRef("resolution")) | Q(resolution=FetchRequest.TRADES)
    touching_it = Q(start__lt=OuterRef("stop"), stop__gt=OuterRef("start"), state__in=FetchRequest.ACTIVE)
    requested = FetchRequest.objects.filter(same, touching_it, market=OuterRef("market"))
    return gaps.select_related("market").annotate(requested=Exists(requested))


def _stored(filters: Filters) -> QuerySet[Any]:
    gaps = _with_state(GapRepair.objects.all())
    if filters.market:
        gaps = gaps.filter(market__symbol__icontains=filters.market)
    if filters.reason:
        gaps = gaps.filter(code=filters.reason)
    if filters.at:
        gaps = gaps.filter(start__lte=filters.at, stop__gt=filters.at)
    of_state = {
        FINAL: gaps.filter(final=True),
        FETCHING: gaps.filter(final=False, requested=True),
        WAITING: gaps.filter(final=False, requested=False),
        FOUND: gaps.none(),
    }
    return of_state.get(filters.state, gaps)


def _rows(gaps: Sequence[Any]) -> list[GapRow]:
    requests, blockers = active_requests({gap.market_id for gap in gaps}), Blockers()
    rows = []
    for gap in gaps:
        own = touching(requests[gap.market_id], gap.resolution, gap.start, gap.stop)
        state = FINAL if gap.final else FETCHING if gap.requested else WAITING
        where = (gap.pk, gap.market.symbol, BASE[gap.resolution].name, gap.start, gap.stop)
        work = blockers.of_gap(own)
        rows.append(GapRow(*where, gap.code, gap.reason, state, gap.attempts, gap.next_try, work))
    return rows


def _matches(row: GapRow, filters: Filters) -> bool:
    return (
        filters.market.lower() in row.symbol.lower()
        and filters.reason in ("", row.code)
        and (filters.at is None or row.start <= filters.at < row.stop)
    )


def _counts() -> dict[str, int]:
    found: dict[str, int] = GapRepair.objects.aggregate(
        open=Count("pk", filter=Q(final=False)),
        refused=Count("pk", filter=Q(final=True)),
        markets=Count("market", distinct=True, filter=Q(final=False)),
    )
    return found


def _at(query: QueryDict) -> datetime | None:
    text = chosen(query, "at")
    if not (text.isascii() and text.isdecimal() and int(text[:20]) <= MAX_MS):
        return None
    return datetime.fromtimestamp(int(text) / 1000, UTC)


def market_names() -> list[str]:
    """Return the markets that have gaps, for the filter."""
    return list(Market.objects.filter(pk__in=GapRepair.objects.values("market")).values_list("symbol", flat=True)[:500])
