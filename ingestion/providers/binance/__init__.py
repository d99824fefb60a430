"""Binance spot, and Binance.US by the same protocol: aggregated trades, candles, exchange info, without a key."""
