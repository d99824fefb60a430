"""Coinbase Exchange: channels matches and heartbeat, products, trades by id, candles."""
