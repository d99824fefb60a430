"""Kraken: its socket v2, trades by time with ids, candles, asset pairs."""
