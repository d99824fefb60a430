"""Kraken's socket v2: the channel trade with its snapshot, a status, heartbeats, pings; each pair has its answer."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from simulator.trades import SECOND_NS
from simulator.venues.feed import Feed, Socket
from simulator.venues.kraken.frames import HEARTBEAT, trade_frame
from simulator.venues.ledger import NumberedTrade
from simulator.venues.limits import Bucket, Limit
from simulator.venues.venue import Market, Venue, iso

SNAPSHOT_TRADES = 50
FIRST_CONNECTION = 12072546403441331453  # more than a signed 64-bit integer holds
UNKNOWN_METHOD = "Method not found"


class KrakenFeed(Feed):
    """All connections to Kraken."""

    trade_channel = "trade"
    idle_s: ClassVar[float] = 60
    notice_s: ClassVar[float | None] = 10

    def __init__(self, venue: Venue) -> None:
        super().__init__(venue)
        self._next_heartbeat = venue.now() + SECOND_NS
        self._opened = 0
        self._was_in_maintenance = False

    def new_messages_limit(self) -> Limit:
        """Return the limit of one connection's messages."""
        return Bucket("messages", 10, 200)

    def welcome(self) -> object:
        """Return the status of the venue."""
        self._opened += 1
        return self._status("maintenance" if self.venue.in_maintenance(self.venue.now()) else "online")

    def notice(self) -> object:
        """Return what announces a restart of the engine."""
        return self._status("maintenance")

    def _status(self, system: str) -> dict[str, object]:
        data = {"version": "2.0.10", "system": system, "api_version": "v2"}
        return {
            "channel": "status",
            "type": "update",
            "data": [{**data, "connection_id": FIRST_CONNECTION + self._opened}],
        }

    def frames_of(self, market: Market, rows: list[NumberedTrade], now: int) -> list[tuple[str, list[NumberedTrade]]]:
        """Return one frame of all."""
        return [(trade_frame(market, rows), rows)]

    def queue_first_frames(self, now: int) -> None:
        """Queue a change of the status."""
        maintenance = self.venue.in_maintenance(now)
        if maintenance != self._was_in_maintenance:
            self._was_in_maintenance = maintenance
            for socket in self.sockets.values():
                self.say(socket, self._status("maintenance" if maintenance else "online"))

    def queue_other_frames(self, now: int) -> None:
        """Queue every second a heartbeat for those who were sent nothing."""
        if now < self._next_heartbeat:
            return
        self._next_heartbeat += SECOND_NS * (1 + (now - self._next_heartbeat) // SECOND_NS)
        if self.venue.faults.statements.last_id(now, 1) is None:
            return
        for socket in self.sockets.values():
            if socket.subscriptions and not socket.waiting and socket.last_frame < now - SECOND_NS // 2:
                self.say(socket, HEARTBEAT)

    def receive(self, socket: Socket, text: str) -> None:
        """Handle ping, subscribe and unsubscribe."""
        began = iso(self.venue.shown())
        try:
            asked = json.loads(text)
            method = asked["method"]
        except (ValueError, KeyError, TypeError):
            self.say(socket, {"error": "Malformed request", "success": False})
            return
        request = {"req_id": asked["req_id"]} if isinstance(asked.get("req_id"), int) else {}
        if method == "ping":
            self._answer(socket, began, {"method": "pong", **request})
            return
        params = asked.get("params")
        symbols = params.get("symbol") if isinstance(params, dict) else None
        if method not in ("subscribe", "unsubscribe") or not isinstance(symbols, list):
            error = UNKNOWN_METHOD if method not in ("subscribe", "unsubscribe") else "Symbol(s) missing"
            self._answer(socket, began, {"error": error, "method": method, "success": False, **request})
            return
        self.turn()
        for symbol in map(str, symbols):
            answer = {"method": method, **request}
            is_subscribed = (self.trade_channel, symbol) in socket.subscriptions
            market = self.venue.markets.get(symbol)
            if params.get("channel") != self.trade_channel:
                refusal = f"Channel {params.get('channel')} is not simulated"
            elif market is None or self.venue.faults.is_refused(str(market.pair), self.venue.now()):
                refusal = f"Currency pair not supported {symbol}"
            elif method == "subscribe":
                refusal = "Already subscribed to one or more requested symbols" if is_subscribed else ""
            else:
                refusal = "" if is_subscribed else "Subscription Not Found"

            if refusal:
                self._answer(socket, began, {"error": refusal, "success": False, "symbol": symbol, **answer})
            else:
                self._change(socket, began, answer, params, symbol)

    def _change(self, socket: Socket, began: str, answer: dict[str, Any], params: dict[str, Any], symbol: str) -> None:
        """Begin or end one subscription; a new one starts with the newest trades."""
        subscription = (self.trade_channel, symbol)
        with_snapshot = bool(params.get("snapshot", True))
        result = {"channel": self.trade_channel, "symbol": symbol}
        if answer["method"] == "unsubscribe":
            socket.subscriptions.pop(subscription, None)
            self._answer(socket, began, {**answer, "result": result, "success": True})
            return
        self._answer(socket, began, {**answer, "result": {**result, "snapshot": with_snapshot}, "success": True})
        socket.subscriptions[subscription] = None
        if with_snapshot:
            market = self.venue.markets[symbol]
            stop = market.ledger.count(self.sent_until)
            rows = market.ledger.rows(max(0, stop - SNAPSHOT_TRADES), stop)
            line = "\n".join(f'{self.line_of(market, row)},"replayed":true' for row in rows)
            self.say(socket, trade_frame(market, rows, "snapshot"), line)

    def _answer(self, socket: Socket, began: str, answer: dict[str, Any]) -> None:
        self.say(socket, {**answer, "time_in": began, "time_out": iso(self.venue.shown())})

    def too_many_messages(self, socket: Socket) -> None:
        """Refuse the message."""
        self.say(socket, {"error": "Exceeded msg rate", "success": False})
