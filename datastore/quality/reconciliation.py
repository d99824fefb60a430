"""Closed minutes of our feed held against the provider's own candles; a difference is kept and told, never mended.

1. next_span: the oldest minutes that are live, closed, final at the provider and not yet compared.
2. compare: hold one answer of the provider against them, by its traits, and keep what was found.
3. lasting: the differences of a span that are still there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial

import structlog
from django.db import transaction

from datastore.coverage.facts import facts_of
from datastore.models import Candle, CandleDifference, Market, Reconciliation
from datastore.reference.provider import CACHE_AGE, MINUTE_RETENTION, OPEN_IS_PRIOR_CLOSE, VOLUME_TOLERANCE
from datastore.timeframes.intervals import SECOND_US, Interval, clip, micros_of, moment, subtract, union, whole
from datastore.timeframes.timeframe import MINUTE_S
from metering.table import DIFFERENCES, RECONCILED
from streaming.records import Micros

log = structlog.get_logger(__name__)

LENGTH = MINUTE_S * SECOND_US
KEPT = 200  # differences of one span that are kept; their number is always true
TOLD = 5  # of them in the log


@dataclass(frozen=True, slots=True)
class Figures:
    """A candle's numbers, ours or the provider's."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal

    @property
    def text(self) -> list[str]:
        """Return the numbers as exact text."""
        numbers = (self.open, self.high, self.low, self.close, self.volume, self.quote_volume)
        return [format(number, "f") for number in numbers]


@dataclass(frozen=True, slots=True)
class Pair:
    """A minute that both sides prove; None: nothing traded."""

    at: Micros
    ours: Figures | None
    theirs: Figures | None
    prior: Decimal | None  # our close before, where our feed proves the time between

    @property
    def same(self) -> bool:
        """Tell whether both say the same, as far as this provider's candles can."""
        if self.ours is None or self.theirs is None:
            return self.ours is self.theirs
        ours, theirs = self.ours, self.theirs
        prices = (ours.high, ours.low, ours.close) == (theirs.high, theirs.low, theirs.close)
        sizes = _near(ours.volume, theirs.volume) and _near(ours.quote_volume, theirs.quote_volume)
        opened = self.prior if OPEN_IS_PRIOR_CLOSE else ours.open
        return prices and sizes and opened in (None, theirs.open)


def _near(ours: Decimal, theirs: Decimal) -> bool:
    return abs(ours - theirs) <= VOLUME_TOLERANCE * max(ours, theirs)


def next_span(market: Market, most: int) -> tuple[datetime, datetime] | None:
    """Return the oldest stretch to compare, at most so many minutes; None where everything is compared."""
    head = facts_of(market, MINUTE_S, None, None).head
    if not head.known or head.watermark is None:
        return None
    final = min(head.watermark, head.now - round(CACHE_AGE[MINUTE_S].total_seconds()) * SECOND_US) // LENGTH * LENGTH
    oldest = head.now - round(MINUTE_RETENTION.total_seconds()) * SECOND_US
    rows = Reconciliation.objects.filter(market=market, resolution=MINUTE_S, stop__gt=moment(oldest))
    done = union((micros_of(start), micros_of(stop)) for start, stop in rows.values_list("start", "stop"))
    left = subtract(_live(market, oldest, final), done)
    if not left:
        return None
    start = left[0][0]
    stop = clip(left, start, start + most * LENGTH)[-1][1]
    return moment(start), moment(stop)


def compare(
    market: Market, start: datetime, stop: datetime, theirs: Mapping[Micros, Figures], note: str = ""
) -> Reconciliation:
    """Hold the provider's minutes, by their start, against ours in [start, stop), and keep what was found."""
    with transaction.atomic():
        found = list(_pairs(market, micros_of(start), micros_of(stop), theirs))
        different = [pair for pair in found if not pair.same]
        row = Reconciliation.objects.create(
            market=market,
            resolution=MINUTE_S,
            start=start,
            stop=stop,
            compared=len(found),
            different=len(different),
            note=note,
        )
        CandleDifference.objects.bulk_create(_difference(row, pair) for pair in different[:KEPT])
        transaction.on_commit(partial(_tell, market.symbol, row, different))
    return row


def lasting(market: Market, start: datetime, stop: datetime) -> list[CandleDifference]:
    """Return the differences in [start, stop) whose candle of ours has not changed since they were found."""
    found = CandleDifference.objects.filter(
        reconciliation__market=market, open_time__gte=start, open_time__lt=stop
    ).order_by("open_time", "id")
    ours = _candles(market, start, stop)
    now = {at: candle.text for at, candle in ours.items()}
    return [one for one in found if now.get(micros_of(one.open_time)) == one.ours]


def _live(market: Market, start: Micros, stop: Micros) -> list[Interval]:
    """Return the whole minutes of [start, stop) that our feed alone proves."""
    if start >= stop:
        return []
    evidence = facts_of(market, MINUTE_S, moment(start), moment(stop)).evidence
    return whole(clip(evidence.live, start, stop), LENGTH)


def _pairs(market: Market, start: Micros, stop: Micros, theirs: Mapping[Micros, Figures]) -> Iterator[Pair]:
    ours = _candles(market, moment(start), moment(stop))
    for low, high in _live(market, start, stop):
        prior: Decimal | None = None
        for at in range(low, high, LENGTH):
            candle = ours.get(at)
            if (given := theirs.get(at)) is not None:
                yield Pair(at, candle, given if given.volume else None, prior)
            prior = candle.close if candle else prior


def _candles(market: Market, start: datetime, stop: datetime) -> dict[Micros, Figures]:
    traded = Candle.objects.filter(market=market, resolution=MINUTE_S, trades__gt=0)
    rows = traded.filter(open_time__gte=start, open_time__lt=stop)
    columns = ("open_time", "open", "high", "low", "close", "volume", "quote_volume")
    return {micros_of(at): Figures(*numbers) for at, *numbers in rows.values_list(*columns)}


def _difference(row: Reconciliation, pair: Pair) -> CandleDifference:
    ours, theirs = (side and side.text for side in (pair.ours, pair.theirs))
    return CandleDifference(reconciliation=row, open_time=moment(pair.at), ours=ours, theirs=theirs)


def _tell(market: str, row: Reconciliation, different: Sequence[Pair]) -> None:
    RECONCILED.labels(market).inc(row.compared)
    DIFFERENCES.labels(market).inc(row.different)
    for pair in different[:TOLD]:
        ours, theirs = (side and side.text for side in (pair.ours, pair.theirs))
        at = moment(pair.at).isoformat()
        log.error("candle differs from the provider's", market=market, open_time=at, ours=ours, theirs=theirs)
    log.info("candles reconciled", market=market, compared=row.compared, different=row.different, note=row.note)
