"""OKX spot: its keyless socket of every trade, trades by id, candles, instruments."""
