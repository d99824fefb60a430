"""The addresses under /binance/."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from datastore.access.api_keys import KeyHolder
from datastore.access.stream_tickets import stream_server
from datastore.api.binance.errors import DISCONNECTED, Refused, binance_exception_handler
from datastore.api.binance.market_info import exchange_info, used_weight
from datastore.api.binance.names import by_symbol, followed_markets, market_named, markets_named
from datastore.api.binance.query import (
    Query,
    aggregates_question,
    klines_question,
    nothing_asked,
    one_of,
    recent_trades_question,
    symbols_question,
)
from datastore.api.binance.tickers import day_json, price_json
from datastore.api.binance.trades import aggregate_json, read_trades, trade_json
from datastore.api.errors import NotFound
from datastore.api.params.query_params import query_of
from datastore.api.params.times import MILLISECOND, to_ms
from datastore.api.responses.compression import CompressedView
from datastore.api.responses.json_response import json_answer
from datastore.api.responses.problem import RETRY_AFTER_SECONDS
from datastore.api.views.counted_rows import CountedRows, RowReader, stored_from
from datastore.models import Market
from datastore.reference.provider_clock import provider_now
from datastore.series.klines import kline_of
from datastore.series.reader import Row
from datastore.series.row_format import EXACT
from datastore.series.tickers import Ticker, read_tickers
from datastore.timeframes.timeframe import BEGINNING

WEIGHT_HEADERS = ("X-MBX-USED-WEIGHT", "X-MBX-USED-WEIGHT-1M")
AGAIN_SOON = {"Retry-After": str(RETRY_AFTER_SECONDS)}
STREAMS = ("binance/ws", "binance/stream")


class BinanceView(CompressedView):
    """An address of this interface: its refusals have Binance's shape, its answers name the weight that is used."""

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], HttpResponse]:
        """Return what writes a refusal."""
        return binance_exception_handler

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the answer, with the weight that was used."""
        if "RateLimit-Remaining" in self.headers:
            remaining, capacity = int(self.headers["RateLimit-Remaining"]), int(self.headers["RateLimit-Limit"])
            holder = request.auth
            limit = settings.RATE_LIMIT_PER_ADDRESS
            if isinstance(holder, KeyHolder):
                limit = settings.RATE_LIMIT_PER_KEY if holder.rate is None else holder.rate
            used = used_weight(remaining, capacity, limit)
            self.headers.update(dict.fromkeys(WEIGHT_HEADERS, str(used)))
        return super().finalize_response(request, response, *args, **kwargs)


class Ping(BinanceView):
    """GET api/v3/ping."""

    def get(self, request: Request) -> HttpResponse:
        """Answer that the server is there."""
        nothing_asked(_query(request))
        return json_answer({})


class Time(BinanceView):
    """GET api/v3/time."""

    def get(self, request: Request) -> HttpResponse:
        """Answer the provider's time."""
        nothing_asked(_query(request))
        return json_answer({"serverTime": to_ms(provider_now())})


class ExchangeInfo(BinanceView):
    """GET api/v3/exchangeInfo."""

    def get(self, request: Request) -> HttpResponse:
        """Answer the followed markets, or those that are named."""
        # Which of them may be traded with which order is not asked here.
        names, _, _ = symbols_question(_query(request), "permissions", "showPermissionSets", "symbolStatus")
        return json_answer(exchange_info(_markets(names), to_ms(provider_now())))


class Klines(BinanceView):
    """GET api/v3/klines and api/v3/uiKlines."""

    def get(self, request: Request) -> HttpResponse:
        """Answer candles, after fetching what is missing."""
        question = klines_question(_query(request))
        market = market_named(question.symbol)
        reader = RowReader(request, market, question.timeframe, EXACT)
        frame = reader.frame
        stop = None if question.stop is None else question.stop + MILLISECOND
        if question.start is None:
            found = reader.until(stop and min(frame.ceil(stop), _end(reader)), question.limit)
        else:
            start, end = question.start, _end(reader) if stop is None else min(frame.ceil(stop), _end(reader))
            if start == BEGINNING:  # what the oldest candle is: for all of it, the provider is not asked
                start = stored_from(market, question.timeframe, start) or end
            start = frame.ceil(start)
            if start >= end:
                return json_answer([])
            found = reader.between(start, end, question.limit)
        return _klines_answer(found, reader)


class PriceTicker(BinanceView):
    """GET api/v3/ticker/price."""

    def get(self, request: Request) -> HttpResponse:
        """Answer the newest prices."""
        names, single, _ = symbols_question(_query(request))
        shown = [price_json(name, ticker) for name, ticker in _tickers(names).items()]
        found = [each for each in shown if each is not None]
        if single and not found:
            raise Refused(DISCONNECTED, "No price of this market is known yet; ask again.", 503, AGAIN_SOON)
        return json_answer(found[0] if single else found)


class DayTicker(BinanceView):
    """GET api/v3/ticker/24hr."""

    def get(self, request: Request) -> HttpResponse:
        """Answer the last 24 hours."""
        names, single, more = symbols_question(_query(request), "type", "symbolStatus")
        mini = one_of(more, "type", ("FULL", "MINI")) == "MINI"
        shown = [day_json(name, ticker, mini) for name, ticker in _tickers(names).items()]
        return json_answer(shown[0] if single else shown)


class Trades(BinanceView):
    """GET api/v3/trades."""

    def get(self, request: Request) -> HttpResponse:
        """Answer the newest trades of a market whose venue counts them."""
        question = recent_trades_question(_query(request))
        return json_answer(read_trades(market_named(question.symbol), question, trade_json))


class AggregateTrades(BinanceView):
    """GET api/v3/aggTrades."""

    def get(self, request: Request) -> HttpResponse:
        """Answer trades of a market whose venue counts them, as aggregates."""
        question = aggregates_question(_query(request))
        return json_answer(read_trades(market_named(question.symbol), question, aggregate_json))


class Nowhere(BinanceView):
    """Every other address under /binance/, among them those of the streams, which another process serves."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raise NotFound, before the method is looked at."""
        path = request.path.strip("/")
        if path.startswith(STREAMS):
            server = stream_server(str(request.scheme), request.get_host()).replace("http", "ws", 1)
            raise NotFound(f"The streams are at {server}/binance/ws and {server}/binance/stream.")
        raise NotFound(
            "This operation is not supported. Under /binance/api/v3/ there are: ping, time, exchangeInfo, klines, "
            "uiKlines, ticker/price, ticker/24hr, trades, aggTrades."
        )


def _query(request: Request) -> Query:
    return query_of(request)


def _end(reader: RowReader) -> datetime:
    """Return the end of the open bucket."""
    return reader.frame.after(reader.frame.floor(provider_now(reader.market.provider)))


def _klines_answer(found: CountedRows, reader: RowReader) -> HttpResponse:
    if found.is_to_come:
        raise Refused(DISCONNECTED, "These klines are being fetched from the provider; ask again.", 503, AGAIN_SOON)
    rows = msgspec.json.decode(f"[{','.join(found.rows)}]", type=list[Row])
    complete = "true" if found.first.complete and found.is_whole else "false"
    return json_answer([kline_of(row, reader.frame) for row in rows], {"Candlekeep-Complete": complete})


def _markets(names: list[str] | None) -> dict[str, Market]:
    """Return markets by the symbols under which they are shown: the named ones, or all that are followed."""
    return followed_markets() if names is None else by_symbol(markets_named(names))


def _tickers(names: list[str] | None) -> dict[str, Ticker]:
    markets = _markets(names)
    found = {ticker.head.market_id: ticker for ticker in read_tickers([market.pk for market in markets.values()])}
    return {name: found[market.pk] for name, market in markets.items()}
