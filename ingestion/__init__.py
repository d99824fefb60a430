"""The Producer: takes a provider's live trades and its history and publishes them to the stream.

`live/` reads the socket, `history/` the REST pages, `topics/` makes topics; `providers/` has a folder per provider.
It meets the consumers only in the stream's records; it stores no candle and writes no SQL.
"""
