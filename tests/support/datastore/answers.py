"""The provider's answers in few words, for the tests of history."""

from __future__ import annotations

from decimal import Decimal

from django.db import transaction

from datastore.backfill.history_write import store_history
from datastore.ingest.live_write import StoreResult
from streaming.history_records import FetchDone, FetchFailed, HistoryRecord, ProviderCandle, ProviderSpan
from tests.support.datastore.records import BTC, MINUTE


def candle(
    at: int, price: str = "50", volume: str = "2", *, market: str = BTC, resolution: int = 60, request: int = 1
) -> ProviderCandle:
    """Return a candle with one price."""
    one = Decimal(price)
    return ProviderCandle(
        market=market, request=request, resolution=resolution, open_time=at,
        open=one, high=one, low=one, close=one, volume=Decimal(volume), quote_volume=one * Decimal(volume),
    )  # fmt: skip


def answered(
    start: int,
    stop: int,
    *,
    zeros: tuple[int, ...] = (),
    candles: int | None = None,
    market: str = BTC,
    resolution: int = 60,
    request: int = 1,
) -> ProviderSpan:
    """Return the span that a page proves."""
    return ProviderSpan(
        market=market, request=request, resolution=resolution, start=start, stop=stop,
        page=1, pages=1, zeros=zeros, candles=candles,
    )  # fmt: skip


def done(request: int, market: str = BTC) -> FetchDone:
    """Return the end of a fetch."""
    return FetchDone(market=market, request=request)


def failed(
    request: int, start: int, stop: int, reason: str = "older than kept", *, final: bool = True, resolution: int = 60
) -> FetchFailed:
    """Return the refusal of a fetch."""
    return FetchFailed(
        market=BTC, request=request, resolution=resolution, start=start, stop=stop, reason=reason, final=final
    )


def minutes(*places: int, start: int) -> list[HistoryRecord]:
    """Return minute candles, each with its place as the price."""
    return [candle(start + place * MINUTE, str(place + 1)) for place in places]


def store(*records: HistoryRecord) -> StoreResult:
    """Store records as the consumer does."""
    with transaction.atomic():
        return store_history(records)
