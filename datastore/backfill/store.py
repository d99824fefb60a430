"""The write of history: one batch of the provider's candles and answers, in the caller's transaction.

1. Lock the markets in the order of their ids, as the write of live records does.
2. Store the candles; a page's lie in front of its span.
3. Follow the other records in the order of the stream: a span proves its buckets, the end of a fetch is held against
   what is stored, a refusal for good is remembered as a final hole.
4. Raise the version of every market whose answers changed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from datastore.backfill.completion import fail, finish, refuse
from datastore.db.queries import fetch_all, fetch_while_running
from datastore.ingest.live_batch import UNKNOWN_MARKET
from datastore.ingest.live_write import SETTLE, MarketChange, StoreResult
from datastore.models import FetchRequest, Market
from datastore.reference.provider import CACHE_AGE
from datastore.reference.provider_clock import provider_now, provider_time_known
from datastore.timeframes.intervals import SECOND_US, micros_of, moment, whole
from streaming.history_records import FetchDone, FetchFailed, HistoryRecord, ProviderCandle, ProviderSpan
from streaming.records import LEAST, MOST, Micros

CANDLES = (
    "select * from store_provider_candles(%s::int[], %s::int[], %s::bigint[], %s::numeric[], %s::numeric[],"
    " %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[])"
)
TAKE = "select * from take_span(%s, %s, instant(%s), instant(%s), %s::bigint[], %s)"
MISPLACED, NUMBERS, AHEAD = "not whole buckets of a resolution", "not a possible number", "not over yet"


@dataclass(slots=True)
class _Batch:
    """A batch taken apart, and what it does."""

    markets: dict[str, Market]
    now: Micros | None  # provider's time, where it is known
    candles: list[ProviderCandle] = field(default_factory=list)
    others: list[tuple[int, ProviderSpan | FetchDone | FetchFailed]] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)
    touched: set[int] = field(default_factory=set)


def store_history(records: Sequence[HistoryRecord], meanwhile: Callable[[], None] | None = None) -> StoreResult:
    """Store records of any markets, in the order of the stream; call it inside transaction.atomic().

    meanwhile: called while the server stores the candles, if there are any; it must not use this connection.
    """
    batch = _sort(records)
    batch.touched.update(_store_candles(batch, meanwhile))
    for index, record in batch.others:
        market = batch.markets[record.market]
        if isinstance(record, ProviderSpan):
            _take_span(batch, index, record, market)
        elif isinstance(record, FetchDone):
            _finish(record.request, market)
        else:
            _fail(batch, record, market)
    return StoreResult(conclude(batch.markets.values(), batch.touched), sorted(batch.refused))


def conclude(markets: Collection[Market], touched: Collection[int]) -> list[MarketChange]:
    """Raise the versions of the touched ones of these locked markets, and store the watermarks of all of them."""
    if not markets:
        return []
    symbols = {market.pk: market.symbol for market in markets}
    stale = timedelta(seconds=settings.STALE_AFTER)
    rows = fetch_all(SETTLE, [list(symbols), list(touched), "[]", "[]", stale])
    return [MarketChange(symbols[pk], pk, version, changed, 0, watermark) for pk, version, changed, watermark in rows]


def settle_published(at: datetime) -> int:
    """End or queue again the requests that were published before a time of the database's clock; return how many.

    For a consumer that has found all of the topic stored that lay in it then: their last record is not coming any more.
    """
    waiting = FetchRequest.objects.filter(state=FetchRequest.State.PUBLISHED, published_at__lt=at)
    found = list(waiting.values_list("pk", "market_id").order_by("market_id"))
    for request_id, market_id in found:
        with transaction.atomic():
            _finish(request_id, Market.objects.select_for_update(no_key=True).get(pk=market_id))
    return len(found)


def _sort(records: Sequence[HistoryRecord]) -> _Batch:
    symbols = {record.market for record in records}
    locked = Market.objects.select_for_update(no_key=True).filter(symbol__in=symbols).order_by("pk")
    batch = _Batch(
        {market.symbol: market for market in locked}, micros_of(provider_now()) if provider_time_known() else None
    )
    for index, record in enumerate(records):
        if reason := UNKNOWN_MARKET if record.market not in batch.markets else _fault(record, batch.now):
            batch.refused.append((index, reason))
        elif isinstance(record, ProviderCandle):
            batch.candles.append(record)
        else:
            batch.others.append((index, record))
    return batch


def _fault(record: HistoryRecord, now: Micros | None) -> str | None:
    """Return why a record cannot be true or cannot be stored."""
    if isinstance(record, FetchDone):
        return None
    if record.resolution not in CACHE_AGE:
        return MISPLACED
    if isinstance(record, FetchFailed):
        return None  # only the whole buckets in it count
    length = record.resolution * SECOND_US
    if isinstance(record, ProviderSpan):
        start, stop = record.start, record.stop
    elif _possible(record):
        start, stop = record.open_time, record.open_time + length
    else:
        return NUMBERS
    if start % length or stop % length or start >= stop:
        return MISPLACED
    return AHEAD if now is not None and stop > now else None


def _possible(candle: ProviderCandle) -> bool:
    numbers = (candle.open, candle.high, candle.low, candle.close, candle.volume)
    if not all(number.is_finite() for number in (*numbers, candle.quote_volume)):
        return False
    return min(numbers) > LEAST and max(numbers) < MOST and 0 <= candle.quote_volume < MOST


def _store_candles(batch: _Batch, meanwhile: Callable[[], None] | None) -> list[int]:
    """Store the candles; return the markets of which any changed."""
    if not batch.candles:
        return []
    rows = [
        (
            batch.markets[one.market].pk,
            one.resolution,
            one.open_time,
            *map(str, (one.open, one.high, one.low, one.close, one.volume, one.quote_volume)),
        )
        for one in batch.candles
    ]
    columns: list[list[Any]] = [list(column) for column in zip(*rows, strict=True)]
    found = fetch_while_running(CANDLES, columns, meanwhile) if meanwhile else fetch_all(CANDLES, columns)
    return [market_id for (market_id,) in found]


def _take_span(batch: _Batch, index: int, span: ProviderSpan, market: Market) -> None:
    parameters = [market.pk, span.resolution, span.start, span.stop, list(span.zeros), span.candles]
    ((changed, doubted, lost),) = fetch_all(TAKE, parameters)
    if changed:
        batch.touched.add(market.pk)
    if lost:
        batch.refused.append((index, f"stream lost {lost} of {span.candles} candles"))
    if doubted:
        batch.refused.append((index, f"zeros instead of {doubted} candles that are known"))


def _finish(request_id: int, market: Market) -> None:
    request = _request(request_id, market)
    if request is not None:
        finish(request)


def _fail(batch: _Batch, record: FetchFailed, market: Market) -> None:
    for start, stop in whole([(record.start, record.stop)], record.resolution * SECOND_US) if record.final else ():
        if refuse(market, record.resolution, moment(start), moment(stop), record.reason):
            batch.touched.add(market.pk)
    request = _request(record.request, market)
    if request is not None:
        fail(request, record.reason)


def _request(request_id: int, market: Market) -> FetchRequest | None:
    """Return the request if it has not ended; a repeat of its last record finds that it has."""
    active = FetchRequest.objects.select_for_update().filter(market=market, state__in=FetchRequest.ACTIVE)
    return active.filter(pk=request_id).first()
