"""The write path of history: one batch of the provider's candles and answers, in the caller's transaction.

1. Lock the markets in the order of their ids, as the write path of live records does.
2. Store the candles; those of a page precede its span.
3. Apply the other records in the order of the stream: a span proves its buckets, the end of a fetch is compared with
   what is stored, and what the provider will never answer becomes a final gap.
4. Raise the version of every market whose answers changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from datastore.backfill.completion import add_final_gap, fail, finish
from datastore.db.queries import fetch_all, fetch_while_running
from datastore.ingest.live_batch import UNKNOWN_MARKET
from datastore.ingest.live_write import SETTLE, MarketChange, StoreResult
from datastore.models import FetchRequest, Market
from datastore.reference.provider_clock import known_times
from datastore.reference.staleness import stale_after
from datastore.timeframes.intervals import SECOND_US, micros_of, moment, whole
from datastore.timeframes.timeframe import BASE
from datastore.wording import counted
from streaming.bounds import MAX_WIRE, MIN_WIRE
from streaming.history_records import FetchDone, FetchFailed, HistoryRecord, ProviderCandle, ProviderSpan
from streaming.records import Micros
from streaming.refusals import Refusal, RefusalCode

STORE_CANDLES = (
    "select * from store_provider_candles(%s::int[], %s::int[], %s::bigint[], %s::numeric[], %s::numeric[],"
    " %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[])"
)
UNCOVER_TRADED = (
    "select * from uncover_traded(%s::int[], %s::int[], (select array_agg(instant(x)) from unnest(%s::bigint[]) x))"
)
TAKE_SPAN = "select * from take_span(%s, %s, instant(%s), instant(%s), %s::bigint[], %s)"
NOT_WHOLE_BUCKETS = Refusal(RefusalCode.MISPLACED, "not whole buckets of a resolution")
IMPOSSIBLE_NUMBER = Refusal(RefusalCode.NUMBER, "not a possible number")
NOT_OVER_YET = Refusal(RefusalCode.AHEAD, "not over yet")


@dataclass(slots=True)
class _Batch:
    """A batch sorted by kind of record, and what it did."""

    markets: dict[str, Market]  # by symbol
    times: dict[str, Micros]  # of each provider, if it is known
    candles: list[ProviderCandle] = field(default_factory=list)
    others: list[tuple[int, ProviderSpan | FetchDone | FetchFailed]] = field(default_factory=list)
    refused: list[tuple[int, Refusal]] = field(default_factory=list)  # index and why
    touched: set[int] = field(default_factory=set)  # ids of markets whose answers changed
    taken_back_s: Counter[int] = field(default_factory=Counter)  # proven time that is no longer claimed, by market's id
    widened: Counter[int] = field(default_factory=Counter)  # stored candles that close outside their range, likewise


def store_history(records: Sequence[HistoryRecord], meanwhile: Callable[[], None] | None = None) -> StoreResult:
    """Store records of any markets, in the order of the stream; call it inside transaction.atomic().

    meanwhile: called while the server stores the candles, if there are any; it must not use this connection.
    """
    batch = _sort(records)
    if batch.candles:
        _store_candles(batch, meanwhile)
    for index, record in batch.others:
        market = batch.markets[record.market]
        if isinstance(record, ProviderSpan):
            # Prove the span's buckets, and note what is missing or contradicts a known candle.
            parameters = [market.pk, record.resolution, record.start, record.stop, list(record.zeros), record.candles]
            ((changed, doubted, lost),) = fetch_all(TAKE_SPAN, parameters)
            if changed:
                batch.touched.add(market.pk)
            if lost:
                batch.refused.append(
                    (index, Refusal(RefusalCode.LOST, f"stream lost {lost} of {record.candles} candles"))
                )
            if doubted:
                batch.refused.append(
                    (index, Refusal(RefusalCode.ZEROS, f"zeros instead of {counted(doubted, 'known candle')}"))
                )
        elif isinstance(record, FetchDone):
            _finish(record.request, market)
        else:
            if record.final:
                for start, stop in whole([(record.start, record.stop)], record.resolution * SECOND_US):
                    if add_final_gap(market, record.resolution, moment(start), moment(stop), record.reason):
                        batch.touched.add(market.pk)
            request = _request(record.request, market)
            if request is not None:
                fail(request, record.reason)
    changes = update_versions(batch.markets.values(), batch.touched)
    changes = [
        replace(
            change, taken_back_s=batch.taken_back_s[change.market_id], candles_widened=batch.widened[change.market_id]
        )
        for change in changes
    ]
    return StoreResult(changes, sorted(batch.refused))


def update_versions(markets: Collection[Market], touched: Collection[int]) -> list[MarketChange]:
    """Store the watermarks of these locked markets, and raise the versions of the touched ones (ids)."""
    if not markets:
        return []
    symbols = {market.pk: market.symbol for market in markets}
    stale = stale_after()
    rows = fetch_all(SETTLE, [list(symbols), list(touched), "[]", "[]", "[]", stale])
    return [MarketChange(symbols[pk], pk, version, changed, 0) for pk, version, changed, _ in rows]


def settle_published(at: datetime) -> int:
    """End or queue again the requests that were published before a time of the database's clock; return how many.

    For a consumer that has stored everything that was in the topic at that time: their last record was lost.
    """
    waiting = FetchRequest.objects.filter(state=FetchRequest.State.PUBLISHED, published_at__lt=at).exclude(
        resolution=FetchRequest.TRADES
    )
    found = list(waiting.values_list("pk", "market_id").order_by("market_id"))
    for request_id, market_id in found:
        with transaction.atomic():
            _finish(request_id, Market.objects.select_for_update(no_key=True).get(pk=market_id))
    return len(found)


def _sort(records: Sequence[HistoryRecord]) -> _Batch:
    """Lock the markets, sort the records by kind, and refuse those that cannot be stored."""
    symbols = {record.market for record in records}
    locked = Market.objects.select_for_update(no_key=True).filter(symbol__in=symbols).order_by("pk")
    markets = {market.symbol: market for market in locked}
    batch = _Batch(markets, {provider: micros_of(now) for provider, now in known_times().items()})
    for index, record in enumerate(records):
        market = batch.markets.get(record.market)
        now = None if market is None else batch.times.get(market.provider)
        if reason := UNKNOWN_MARKET if market is None else _fault(record, now):
            batch.refused.append((index, reason))
        elif isinstance(record, ProviderCandle):
            batch.candles.append(record)
        else:
            batch.others.append((index, record))
    return batch


def _fault(record: HistoryRecord, now: Micros | None) -> Refusal | None:
    """Return why a record cannot be true or cannot be stored, None if it can."""
    if isinstance(record, FetchDone):
        return None
    if record.resolution not in BASE:
        return NOT_WHOLE_BUCKETS
    if isinstance(record, FetchFailed):
        return None  # only the whole buckets in it count

    length = record.resolution * SECOND_US
    if isinstance(record, ProviderSpan):
        start, stop = record.start, record.stop
    else:
        prices, sizes = (
            (record.open, record.high, record.low, record.close),
            (record.volume, record.quote_volume or Decimal(0)),
        )
        if not all(number.is_finite() for number in (*prices, *sizes)):
            return IMPOSSIBLE_NUMBER
        if not (min(prices) > MIN_WIRE and max(prices) < MAX_WIRE and min(sizes) >= 0 and max(sizes) < MAX_WIRE):
            return IMPOSSIBLE_NUMBER
        if 0 < record.volume <= MIN_WIRE:
            return IMPOSSIBLE_NUMBER
        start, stop = record.open_time, record.open_time + length
    if start % length or stop % length or start >= stop:
        return NOT_WHOLE_BUCKETS
    return NOT_OVER_YET if now is not None and stop > now else None


def _store_candles(batch: _Batch, meanwhile: Callable[[], None] | None) -> None:
    """Store the candles; a coarser bucket around one was not quiet, whatever the provider has said of it."""
    rows = [
        (
            batch.markets[one.market].pk,
            one.resolution,
            one.open_time,
            *map(str, (one.open, one.high, one.low, one.close, one.volume)),
            None if one.quote_volume is None else str(one.quote_volume),
        )
        for one in batch.candles
    ]
    columns: list[list[Any]] = [list(column) for column in zip(*rows, strict=True)]
    found = fetch_while_running(STORE_CANDLES, columns, meanwhile) if meanwhile else fetch_all(STORE_CANDLES, columns)
    for market_id, outside in found:
        batch.touched.add(market_id)
        batch.widened[market_id] += outside
    for market_id, seconds in fetch_all(UNCOVER_TRADED, columns[:3]):
        batch.touched.add(market_id)
        batch.taken_back_s[market_id] += seconds


def _finish(request_id: int, market: Market) -> None:
    request = _request(request_id, market)
    if request is not None:
        finish(request)


def _request(request_id: int, market: Market) -> FetchRequest | None:
    """Return the request if it has not ended: when its last record is repeated, it has."""
    active = FetchRequest.objects.select_for_update().filter(market=market, state__in=FetchRequest.ACTIVE)
    return active.filter(pk=request_id).first()
