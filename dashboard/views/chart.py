"""The page of one market: its chart, the ribbon of its coverage, and beside it what it rests on."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any
from urllib.parse import quote, urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from dashboard.market_facts import market_facts
from dashboard.pages import page, readable, shared_part
from datastore.api.errors import BadParameters, UnknownMarket
from datastore.api.params.market_lookup import find_market
from datastore.api.params.symbols import market_text
from datastore.api.views.follow import to_stream
from datastore.models import Market
from datastore.series.written_format import EXTRA, FORMATS
from datastore.timeframes.timeframe import TIMEFRAMES

DEFAULT_TIMEFRAME = "1m"
BUCKETS = 500  # that a chart begins with
MODULES = ("candle_chart", "certificate", "chart_dialogs", "follow", "ribbon", "series", "times")  # of chart.js
FORMAT_WORDS = (
    ("json", "JSON", "all that is known, exact"),
    ("csv", "CSV", "exact; Excel, any program"),
    ("ndjson", "NDJSON", "exact, an object a line"),
    ("parquet", "Parquet", "exact; pandas, polars, DuckDB"),
    ("arrow", "Arrow", "exact, as a stream"),
    ("feather", "Feather", "floats; freqtrade"),
    ("ccxt", "ccxt", "six numbers a row"),
    ("binance", "Binance", "klines of 12 cells"),
)


@readable
def chart(request: HttpRequest, symbol: str) -> HttpResponse:
    """Show one market, found by any spelling; the part beside the chart alone, or the stream, if it is asked for."""

    def found() -> Market:
        return find_market(market_text(symbol))

    try:
        if request.GET.get("part") == "side":
            return shared_part(request, "chart_side.html", symbol, lambda: market_facts(found()))
        market = found()
        if request.GET.get("part") == "stream":
            again = f"/markets/{quote(market.symbol, safe=':')}?part=stream&timeframe={timeframe_of(request)}"
            cursor = request.GET.get("cursor")
            return to_stream(request, market, timeframe_of(request), again, cursor, parts="chart")
    except (UnknownMarket, BadParameters, ValueError) as exc:
        return page(request, "chart_unknown.html", {"asked": symbol, "reason": str(exc)}, status=404)
    if market.symbol != symbol:
        rest = f"?{request.GET.urlencode()}" if request.GET else ""
        return HttpResponseRedirect(f"/markets/{quote(market.symbol, safe=':')}{rest}")
    return page(request, "chart.html", {**market_facts(market), **setup(request, market)})


def setup(request: HttpRequest, market: Market) -> dict[str, Any]:
    """Return what the chart begins with: the timeframes, the one that the address names, and the first question.

    The browser asks it before the scripts are there, which begins a fetch where one is needed. An address that names a
    stretch has another one, which the script knows.
    """
    first = {"market": market.symbol, "timeframe": timeframe_of(request), "fill": "null", "wait": 0, "limit": BUCKETS}
    return {
        "first_question": "" if "from" in request.GET else f"/api/v1/candles?{urlencode(first)}",
        "modules": MODULES,
        "timeframes": {name: frame.seconds for name, frame in TIMEFRAMES.items()},
        "timeframe": timeframe_of(request),
        "base_url": request.build_absolute_uri("/").rstrip("/"),
        **export_formats(),
    }


def timeframe_of(request: HttpRequest) -> str:
    """Return the timeframe that the address names, or what a chart begins with."""
    asked = request.GET.get("timeframe", DEFAULT_TIMEFRAME)
    return asked if asked in TIMEFRAMES else DEFAULT_TIMEFRAME


def export_formats() -> dict[str, Any]:
    """Return the forms in which candles can be downloaded, and how to install what some lack here ("": none does)."""
    installed = find_spec("pyarrow") is not None
    shown = [
        {"name": name, "title": title, "use": use, "suffix": FORMATS[name].suffix if name in FORMATS else name}
        | {"available": installed or name not in FORMATS or FORMATS[name].in_blocks}
        for name, title, use in FORMAT_WORDS
    ]
    return {"formats": shown, "extra": "" if installed else EXTRA}
