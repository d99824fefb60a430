"""The data feed of TradingView's charting library (UDF) under /udf/: seconds, numbers, `s: ok | no_data | error`.

The views ask what GET candles asks, and answer in that shape.
"""
