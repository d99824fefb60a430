"""The addresses under /binance/."""

from __future__ import annotations

from django.urls import path, re_path

from datastore.api.binance.views import (
    AggregateTrades,
    DayTicker,
    ExchangeInfo,
    Klines,
    Nowhere,
    Ping,
    PriceTicker,
    Time,
    Trades,
)

urlpatterns = [
    path("api/v3/ping", Ping.as_view()),
    path("api/v3/time", Time.as_view()),
    path("api/v3/exchangeInfo", ExchangeInfo.as_view()),
    path("api/v3/klines", Klines.as_view()),
    path("api/v3/uiKlines", Klines.as_view()),
    path("api/v3/ticker/price", PriceTicker.as_view()),
    path("api/v3/ticker/24hr", DayTicker.as_view()),
    path("api/v3/trades", Trades.as_view()),
    path("api/v3/aggTrades", AggregateTrades.as_view()),
    re_path(r"^[\s\S]*$", Nowhere.as_view()),
]
