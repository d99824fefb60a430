"""Binance's public market data under /binance/api/v3/, so that its clients change only the base address.

Shapes and codes are those of its documentation (developers.binance.com, "Spot"). `names` says which symbol means which
market; the streams are served by datastore/sse.
"""
