"""The names of streams, such as btcusdt@kline_1m, and the addresses under which they are followed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from datastore.timeframes.timeframe import TIMEFRAMES

WS_PATH, STREAM_PATH = "/binance/ws", "/binance/stream"
KLINE, TRADE, AGGREGATE = "kline", "trade", "aggTrade"
ACCEPTED = f"<symbol>@kline_<{'|'.join(TIMEFRAMES)}>, <symbol>@trade, <symbol>@aggTrade"
MAX_STREAMS = 1024  # of one connection


class BadStream(ValueError):
    """There is no such stream; the message says which there are."""


@dataclass(frozen=True, slots=True)
class StreamName:
    """A stream as it is asked for; its kind, and the timeframe of klines."""

    text: str
    symbol: str
    kind: str
    timeframe: str = ""


@dataclass(frozen=True, slots=True)
class Address:
    """What the address of a connection asks for: streams, and whether each message is to name its own."""

    streams: list[StreamName]
    combined: bool


def stream_name(text: str) -> StreamName:
    """Return a stream by its name. Raises BadStream."""
    symbol, at, kind = text.partition("@")
    name, _, timeframe = kind.partition("_")
    if symbol and at and name == KLINE and timeframe in TIMEFRAMES:
        return StreamName(text, symbol, KLINE, timeframe)
    if symbol and at and kind in (TRADE, AGGREGATE):
        return StreamName(text, symbol, kind)
    raise BadStream(f"{text[:80]!r} is not a stream. Accepted: {ACCEPTED}.")


def address_of(path: str, streams: str | None) -> Address:
    """Return what a path and its parameter `streams` ask for. Raises BadStream.

    A last part without an @, such as the 0 of /binance/ws/0, only tells the connections of one client apart.
    """
    if path == STREAM_PATH:
        return Address([stream_name(text) for text in (streams or "").split("/") if text], combined=True)
    last = unquote(path.removeprefix(WS_PATH).strip("/"))
    return Address([stream_name(text) for text in last.split("/") if "@" in text], combined=False)
