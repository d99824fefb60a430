"""Binance's socket: streams of aggregates and of one-minute candles, plain or with their name around them."""

from __future__ import annotations

import json
from bisect import bisect_right
from dataclasses import dataclass
from typing import ClassVar

from simulator.trades import MINUTE_NS, SECOND_NS, Bar, join, roll_up
from simulator.venues.binance.frames import Kline, aggregate_frame, cut_sum, kline_frame, kline_of, quote_volume
from simulator.venues.candles import Candle, candles
from simulator.venues.feed import Feed, Socket
from simulator.venues.ledger import NumberedTrade
from simulator.venues.limits import Bucket, Limit
from simulator.venues.venue import Market, Venue

KLINE = "kline_1m"
KLINE_INTERVAL_NS = 2 * SECOND_NS
MAX_STREAMS = 1024
MINUTE_S = 60


@dataclass(slots=True)
class OpenCandle:
    """A market's minute that still goes on, with the trades that are known of it."""

    market: Market
    minute: int
    before: int | None  # the close before it
    known: int = 0
    bar: Bar | None = None
    quote: int = 0  # in 10**-8

    def advance(self, now: int) -> bool:
        """Add the trades up to a time (ns); return whether there were any."""
        source = self.market.source
        stop = bisect_right(source.stamps(self.minute), now - self.minute * MINUTE_NS)
        trades = source.part(self.minute, self.known, stop)
        self.known, self.bar = stop, join((self.bar, roll_up(trades)))
        self.quote += cut_sum(source, trades)
        return bool(trades)

    def kline(self) -> Kline | None:
        """Return it as it is now."""
        return kline_of(self.market, Candle(self.minute * MINUTE_S, self.bar, self.before), MINUTE_S, self.quote)


class BinanceFeed(Feed):
    """All connections to Binance, or to Binance.US."""

    trade_channel = "aggTrade"
    idle_s: ClassVar[float] = float("inf")
    lifetime_s: ClassVar[float | None] = 86_400
    notice_s: ClassVar[float | None] = 10

    def __init__(self, venue: Venue) -> None:
        super().__init__(venue)
        self._minute = venue.now() // SECOND_NS // MINUTE_S  # whose candles are not closed yet
        self._next_klines = venue.now()
        self._open: dict[str, OpenCandle] = {}  # by symbol

    def new_messages_limit(self) -> Limit:
        """Return the limit of one connection's messages."""
        return Bucket("messages", 5, 5)

    def notice(self) -> object:
        """Return what announces a restart."""
        return {"e": "serverShutdown", "E": self.venue.shown() // 10**6}

    def frames_of(self, market: Market, rows: list[NumberedTrade], now: int) -> list[tuple[str, list[NumberedTrade]]]:
        """Return a frame for each aggregate."""
        shown = self.venue.shown()
        return [(aggregate_frame(market, row, shown), [row]) for row in rows]

    def addressed(self, socket: Socket, channel: str, market: Market, text: str) -> str:
        """Return the frame, in a combined stream with the stream's name."""
        return f'{{"stream":"{market.name.lower()}@{channel}","data":{text}}}' if socket.wrapped else text

    def queue_other_frames(self, now: int) -> None:
        """Queue candles: each closed one, and every two seconds the open one if it has changed."""
        minute = now // SECOND_NS // MINUTE_S
        is_due = now >= self._next_klines
        if is_due:
            self._next_klines = now + KLINE_INTERVAL_NS
        if minute == self._minute and not is_due:
            return
        closed, self._minute = range(self._minute, minute), minute
        for market in self.venue.markets.values():
            if readers := self.readers(KLINE, market.name, now):
                for start in range(closed.start * MINUTE_S, closed.stop * MINUTE_S, MINUTE_S):
                    (candle,) = candles(market.source, MINUTE_S, range(start, start + 1), now)
                    kline = kline_of(market, candle, MINUTE_S, quote_volume(market, candle, MINUTE_S, now))
                    self._send_kline(market, readers, kline, True)
                running = self._open.get(market.name)
                if running is None or running.minute != closed.stop:
                    (candle,) = candles(
                        market.source, MINUTE_S, range(closed.stop * MINUTE_S, closed.stop * MINUTE_S + 1), 0
                    )
                    running = self._open[market.name] = OpenCandle(market, closed.stop, candle.before)
                if running.advance(now):
                    self._send_kline(market, readers, running.kline(), False)

    def _send_kline(self, market: Market, readers: list[Socket], kline: Kline | None, closed: bool) -> None:
        if (sent := self._with_faults(kline, self.venue.now())) is not None:
            text = kline_frame(market, sent, closed, self.venue.shown())
            for socket in readers:
                self.say(socket, self.addressed(socket, KLINE, market, text))

    def _with_faults(self, kline: Kline | None, now: int) -> Kline | None:
        """Return the candle with what faults make of its last id."""
        if kline is None or kline.last < 0:
            return kline
        last = self.venue.faults.statements.last_id(now, kline.last)
        if last is None or kline.candle.bar is None:
            return None
        if last == 0:  # as if nothing had been traded
            return kline._replace(candle=kline.candle._replace(bar=None), first=-1, last=-1)
        bar = kline.candle.bar._replace(trades=max(1, kline.candle.bar.trades + last - kline.last))
        return kline._replace(candle=kline.candle._replace(bar=bar), last=max(kline.first, last))

    def begin(self, socket: Socket) -> None:
        """Subscribe to the streams that the connection's address names."""
        web = socket.web
        socket.wrapped = web.url.path == "/stream"
        named = web.query_params.get("streams") or web.path_params.get("streams")
        streams = _streams(named.split("/") if named else [])
        if not isinstance(streams, str):
            self._change(socket, streams, True)

    def receive(self, socket: Socket, text: str) -> None:
        """Handle SUBSCRIBE, UNSUBSCRIBE and LIST_SUBSCRIPTIONS; a stream of an unknown symbol is accepted silently."""
        try:
            asked = json.loads(text)
            method, id = asked["method"], asked.get("id")
        except (ValueError, KeyError, TypeError, AttributeError):
            self.say(socket, {"error": {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}})
            return
        if method == "LIST_SUBSCRIPTIONS":
            listed = [f"{symbol.swapcase()}@{channel}" for channel, symbol in socket.subscriptions]
            self.say(socket, {"result": listed, "id": id})
            return
        streams = _streams(asked.get("params")) if method in ("SUBSCRIBE", "UNSUBSCRIBE") else f"unknown {method}"
        trouble = streams if isinstance(streams, str) else self._change(socket, streams, method == "SUBSCRIBE")
        if trouble:
            self.say(socket, {"error": {"code": 2, "msg": f"Invalid request: {trouble}"}, "id": id})
        else:
            self.say(socket, {"result": None, "id": id})

    def _change(self, socket: Socket, streams: list[tuple[str, str]], is_new: bool) -> str:
        """Subscribe or unsubscribe; return why not, empty if it is done."""
        self.turn()
        for _, symbol in streams:
            market = self.venue.markets.get(symbol)
            if is_new and market and self.venue.faults.is_refused(str(market.pair), self.venue.now()):
                return f"the stream of {symbol} is not available"
        if is_new and len({*socket.subscriptions, *streams}) > MAX_STREAMS:
            return f"you exceeded the max number of streams ({MAX_STREAMS})"
        for stream in streams:
            if is_new:
                socket.subscriptions[stream] = None
            else:
                socket.subscriptions.pop(stream, None)
        return ""


def _streams(params: object) -> list[tuple[str, str]] | str:
    """Return (channel, SYMBOL) of each stream, or what is wrong."""
    if not isinstance(params, list) or not all(isinstance(each, str) for each in params):
        return "params must be a list of texts"
    found = []
    for each in params:
        symbol, at, channel = each.partition("@")
        if not at or not symbol or not channel:
            return f"invalid stream {each}"
        found.append((channel, symbol.swapcase()))  # one in capitals names no market, and never sends anything
    return found
