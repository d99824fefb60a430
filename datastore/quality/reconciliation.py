"""Closed minutes of the feed compared with the provider's own candles. A difference is stored and logged, never fixed.

1. next_span: the oldest minutes that are live, closed, final at the provider and not compared yet.
2. compare: hold one answer of the provider against them, and store what differs.
3. lasting_differences: the differences of a span that are still there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import structlog
from django.db import transaction

from datastore.coverage.facts import facts_of
from datastore.models import Candle, CandleDifference, Market, Reconciliation
from datastore.reference.provider_registry import traits_of
from datastore.reference.traits import CandleTraits, OpenPrice
from datastore.timeframes.intervals import SECOND_US, Interval, clip, micros_of, moment, subtract, union, whole
from datastore.timeframes.timeframe import BEGINNING, MINUTE_S
from metering.table import DIFFERENCES, RECONCILED
from streaming.records import Micros

log = structlog.get_logger(__name__)

MINUTE_MICROS = MINUTE_S * SECOND_US
MAX_DIFFERENCES_KEPT = 200  # of one span; their number is always exact
MAX_DIFFERENCES_LOGGED = 5  # of one span


@dataclass(frozen=True, slots=True)
class CandleValues:
    """A candle's numbers, the feed's or the provider's; None: the provider does not give that one."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal | None
    trades: int | None = None

    @property
    def is_quiet(self) -> bool:
        """Return whether these are the provider's numbers of a minute in which nothing was traded."""
        flat = self.open == self.high == self.low == self.close
        return flat and self.volume == 0 and not self.quote_volume

    @property
    def text(self) -> list[str | None]:
        """Return the numbers but the trades as exact text."""
        numbers = (self.open, self.high, self.low, self.close, self.volume, self.quote_volume)
        return [None if number is None else format(number, "f") for number in numbers]


@dataclass(frozen=True, slots=True)
class MinutePair:
    """A minute that both sides prove; None: no trades."""

    at: Micros
    ours: CandleValues | None
    theirs: CandleValues | None
    prior: Decimal | None  # the close before it in our feed, if the feed proves the time between
    candles: CandleTraits  # of the provider
    counted: bool = False  # both sides count the same trades

    @property
    def same(self) -> bool:
        """Return whether both agree, as exactly as this provider's candles can."""
        if self.ours is None or self.theirs is None:
            return self.ours is self.theirs
        ours, theirs = self.ours, self.theirs
        prices = (ours.high, ours.low, ours.close) == (theirs.high, theirs.low, theirs.close)
        sizes = self._near(ours.volume, theirs.volume)
        if ours.quote_volume is not None and theirs.quote_volume is not None:
            cut_off = self.candles.quote_volume_step * (ours.trades or 0)
            sizes = sizes and self._near(ours.quote_volume, theirs.quote_volume, cut_off)
        counts = not self.counted or theirs.trades is None or ours.trades == theirs.trades
        opened = self.prior if self.candles.opens_with is OpenPrice.PRIOR_CLOSE else ours.open
        return prices and sizes and counts and opened in (None, theirs.open)

    def _near(self, ours: Decimal, theirs: Decimal, more: Decimal = Decimal(0)) -> bool:
        return abs(ours - theirs) <= self.candles.volume_tolerance * max(ours, theirs) + more


def next_span(market: Market, max_minutes: int) -> tuple[datetime, datetime] | None:
    """Return the oldest span to compare, at most max_minutes long; None if everything is compared."""
    head = facts_of(market, MINUTE_S, None, None).head
    if not head.known or head.watermark is None:
        return None
    traits = head.candle_traits.resolutions[MINUTE_S]
    final = min(head.watermark, head.now - round(traits.cache_age.total_seconds()) * SECOND_US)
    final -= final % MINUTE_MICROS
    kept = traits.depth or moment(head.now) - BEGINNING
    oldest = head.now - round(kept.total_seconds()) * SECOND_US
    rows = Reconciliation.objects.filter(market=market, resolution=MINUTE_S, stop__gt=moment(oldest))
    done = union((micros_of(start), micros_of(stop)) for start, stop in rows.values_list("start", "stop"))
    left = subtract(_live(market, oldest, final), done)
    if not left:
        return None
    start = left[0][0]
    stop = clip(left, start, start + max_minutes * MINUTE_MICROS)[-1][1]
    return moment(start), moment(stop)


def compare(
    market: Market, start: datetime, stop: datetime, theirs: Mapping[Micros, CandleValues], note: str = ""
) -> Reconciliation:
    """Compare the provider's minutes, by start in microseconds, with ours in [start, stop); store what differs."""
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
        CandleDifference.objects.bulk_create(
            CandleDifference(
                reconciliation=row, open_time=moment(pair.at), ours=_text(pair.ours), theirs=_text(pair.theirs)
            )
            for pair in different[:MAX_DIFFERENCES_KEPT]
        )
        transaction.on_commit(lambda: _report(market.symbol, row, different))
    return row


def lasting_differences(market: Market, start: datetime, stop: datetime) -> list[CandleDifference]:
    """Return the differences in [start, stop) whose stored candle has not changed since they were found."""
    found = CandleDifference.objects.filter(
        reconciliation__market=market, open_time__gte=start, open_time__lt=stop
    ).order_by("open_time", "id")
    now = {at: candle.text for at, candle in _candles(market, start, stop).items()}
    return [one for one in found if now.get(micros_of(one.open_time)) == one.ours]


def compared_minutes(market: Market, start: datetime, stop: datetime) -> int:
    """Return about how many minutes of [start, stop) were compared with the provider's, never more than there are."""
    rows = Reconciliation.objects.filter(market=market, resolution=MINUTE_S, start__lt=stop, stop__gt=start)
    minute = timedelta(minutes=1)
    return sum(min(row.compared, (min(row.stop, stop) - max(row.start, start)) // minute) for row in rows)


def _live(market: Market, start: Micros, stop: Micros) -> list[Interval]:
    """Return the whole minutes of [start, stop) that our feed alone proves."""
    if start >= stop:
        return []
    evidence = facts_of(market, MINUTE_S, moment(start), moment(stop)).evidence
    return whole(clip(evidence.live, start, stop), MINUTE_MICROS)


def _pairs(market: Market, start: Micros, stop: Micros, theirs: Mapping[Micros, CandleValues]) -> Iterator[MinutePair]:
    ours, traits = _candles(market, moment(start), moment(stop)), traits_of(market.provider)
    candles, counted = traits.candles, traits.candles.trade_counts and not traits.stream.aggregates
    for low, high in _live(market, start, stop):
        prior: Decimal | None = None
        for at in range(low, high, MINUTE_MICROS):
            candle = ours.get(at)
            if (given := theirs.get(at)) is not None:
                yield MinutePair(at, candle, None if given.is_quiet else given, prior, candles, counted)
            prior = candle.close if candle else prior


def _candles(market: Market, start: datetime, stop: datetime) -> dict[Micros, CandleValues]:
    traded = Candle.objects.filter(market=market, resolution=MINUTE_S, trades__gt=0)
    rows = traded.filter(open_time__gte=start, open_time__lt=stop)
    columns = ("open_time", "open", "high", "low", "close", "volume", "quote_volume", "trades")
    return {micros_of(at): CandleValues(*numbers) for at, *numbers in rows.values_list(*columns)}


def _text(values: CandleValues | None) -> list[str | None] | None:
    return None if values is None else values.text


def _report(market: str, row: Reconciliation, different: Sequence[MinutePair]) -> None:
    RECONCILED.labels(market).inc(row.compared)
    DIFFERENCES.labels(market).inc(row.different)
    for pair in different[:MAX_DIFFERENCES_LOGGED]:
        at, ours, theirs = moment(pair.at).isoformat(), _text(pair.ours), _text(pair.theirs)
        log.error("candle differs from the provider's", market=market, open_time=at, ours=ours, theirs=theirs)
    event = "candles reconciled" if row.compared else "no candle to reconcile"
    log.info(event, market=market, compared=row.compared, different=row.different, note=row.note)
