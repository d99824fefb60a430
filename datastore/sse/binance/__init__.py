"""Binance's market streams over WebSockets, as its clients follow them: /binance/ws and /binance/stream.

Pure: names, commands, events. A connection follows channels of the hub like any reader, and sends the newest state.
"""
