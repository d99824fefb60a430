"""GET tickers: the newest price and the last 24 hours of many markets in one call."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from datastore.api.params.market_lookup import find_markets, provider_json
from datastore.api.params.query_params import query_of, tickers_question
from datastore.api.responses.compression import CompressedView
from datastore.api.responses.json_response import json_answer
from datastore.quality.freshness import feed_state
from datastore.series.tickers import Ticker, read_tickers
from streaming.records import Micros


class Tickers(CompressedView):
    """GET tickers."""

    def get(self, request: Request) -> HttpResponse:
        """Answer the markets that are named, in any spelling, or all that are followed, by symbol."""
        names, ids = tickers_question(query_of(request)), None
        if names is not None:
            ids = {market.pk for market in find_markets(list(names))}
        return json_answer({**provider_json(), "tickers": [ticker_json(ticker) for ticker in read_tickers(ids)]})


def ticker_json(ticker: Ticker) -> dict[str, Any]:
    """Return one market; times in milliseconds, decimals as text."""
    head, statistics = ticker.head, ticker.statistics
    start, _ = head.window
    freshness = None if head.live_stop is None else (head.now - head.live_stop) // 1000
    return {
        "market": head.symbol,
        "followed": head.followed,
        "last": ticker.last,
        "last_trade": _ms(ticker.last_trade),
        "from": _ms(start),
        "open": statistics.open,
        "high": statistics.high,
        "low": statistics.low,
        "volume": statistics.volume,
        "quote_volume": statistics.quote_volume,
        "trades": statistics.trades,
        "change": statistics.change,
        "change_percent": statistics.change_percent,
        "complete": ticker.complete,
        "watermark": _ms(head.watermark),
        "feed": feed_state(head.feed_open, freshness),
        "live_until": _ms(head.live_stop),
        "freshness": freshness,
    }


def _ms(micros: Micros | None) -> int | None:
    return None if micros is None else micros // 1000
