"""Binance and Binance.US: aggregated trades, one-minute candles, REST with weights."""
