"""Tickers in Binance's shape; what is not held (bids, asks, the newest trade's size) is left out."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

from datastore.series.tickers import Ticker

PLACES = Decimal("0.00000001")
FULL_ONLY = ("priceChange", "priceChangePercent", "weightedAvgPrice")


def price_json(name: str, ticker: Ticker) -> dict[str, Any] | None:
    """Return the newest price; None for a market of which none is known."""
    return None if ticker.last is None else {"symbol": name, "price": ticker.last}


def day_json(name: str, ticker: Ticker, mini: bool) -> dict[str, Any]:
    """Return the last 24 hours; prices are "0" where nothing was traded, ids -1: they are not part of candles.

    What the provider does not give, quote volume or count of trades, is left out.
    """
    start, stop = ticker.head.window
    day = ticker.statistics
    shown = {
        "symbol": name,
        "priceChange": day.change or "0",
        "priceChangePercent": day.change_percent or "0",
        "weightedAvgPrice": _average(day.quote_volume, day.volume),
        "lastPrice": ticker.last or "0",
        "openPrice": day.open or "0",
        "highPrice": day.high or "0",
        "lowPrice": day.low or "0",
        "volume": day.volume,
        "quoteVolume": day.quote_volume,
        "openTime": start // 1000,
        "closeTime": min(ticker.head.now, stop) // 1000,
        "firstId": -1,
        "lastId": -1,
        "count": day.trades,
    }
    return {name: value for name, value in shown.items() if value is not None and not (mini and name in FULL_ONLY)}


def _average(quote_volume: str | None, volume: str) -> str | None:
    if quote_volume is None or not Decimal(volume):
        return quote_volume and "0"
    with localcontext() as context:
        context.prec = 50
        return f"{(Decimal(quote_volume) / Decimal(volume)).quantize(PLACES):f}"
