"""The read path: from stored rows to one exact series with its certificate.

`reader` merges live and provider candles; `row_format` gives them their text; `fill`, `export`, `tickers` build on it.
Nothing here writes.
"""
