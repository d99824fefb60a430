"""A question that something must be fetched for, and a worker played by the test."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from actor_runtime.models import TransitionLog
from datastore.models import Coverage, DatastoreRequest, FetchRequest, Market, ProviderCandle
from datastore.requests import endings
from tests.support.api.rows import BEGAN, MINUTE, SYMBOL, at

START, STOP = BEGAN - 60 * MINUTE, BEGAN
SPAN = f"&from={at(-3600) // 1000}&to={at(0) // 1000}"
ADDRESS = f"/api/v1/candles?market={SYMBOL}&timeframe=1m{SPAN}"
AT_ONCE = ADDRESS + "&wait=0"
STATES = DatastoreRequest.State


def bring(market: Market) -> None:
    """Let the provider have answered for the whole span, with one candle in it."""
    Coverage.objects.create(market=market, source="provider", resolution=60, start=START, stop=STOP)
    price = dict.fromkeys(("open", "high", "low", "close", "volume", "quote_volume"), "7")
    ProviderCandle.objects.create(market=market, resolution=60, open_time=START, version=1, **price)
    finish("done")


def finish(state: str, error: str | None = None) -> None:
    FetchRequest.objects.update(state=state, error=error, finished_at=timezone.now())
    endings.end_requests()


def request_of(body: Any) -> DatastoreRequest:
    return DatastoreRequest.objects.get(pk=body["request"]["id"])


def events_of(request: DatastoreRequest) -> list[str]:
    return list(TransitionLog.objects.filter(name=request.name).order_by("id").values_list("event", flat=True))
