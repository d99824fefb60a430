"""Coinbase Exchange: its keyless socket, trades by id, candles, products."""
