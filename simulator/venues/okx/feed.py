"""OKX's socket: the channel trades-all, a frame for each trade, and `ping`; each channel asked for has its answer."""

from __future__ import annotations

import json
from typing import ClassVar

from simulator.venues.feed import Feed, Socket
from simulator.venues.ledger import NumberedTrade
from simulator.venues.limits import Limit, Window
from simulator.venues.okx.frames import CHANNEL, trade_frame
from simulator.venues.venue import Market, Venue

QUIET_S = 30.0  # of the wall clock: a connection on which nothing goes either way is cut


class OkxFeed(Feed):
    """All connections to OKX."""

    trade_channel = CHANNEL
    idle_s: ClassVar[float] = QUIET_S
    notice_s: ClassVar[float | None] = 60

    def __init__(self, venue: Venue) -> None:
        super().__init__(venue)
        self._alive: dict[int, float] = {}  # when something went either way, by connection

    def new_messages_limit(self) -> Limit:
        """Return the limit of one connection's messages; pings count, which the venue's do not."""
        return Window("messages", 3600, 480)

    def too_many_messages(self, socket: Socket) -> None:
        """Refuse the message."""
        self._refuse(socket, "60014", "Requests too frequent")

    def notice(self) -> object:
        """Return what announces the end of the connection."""
        text = "The connection will soon be closed for a service upgrade. Please reconnect."
        return {"event": "notice", "code": "64008", "msg": text, "connId": "a4d3ae55"}

    def frames_of(self, market: Market, rows: list[NumberedTrade], now: int) -> list[tuple[str, list[NumberedTrade]]]:
        """Return a frame for each trade."""
        return [(trade_frame(market, row), [row]) for row in rows]

    def queue_other_frames(self, now: int) -> None:
        """Cut the connections on which it was quiet for too long."""
        wall = self.venue.wall()
        for socket in list(self.sockets.values()):
            if socket.waiting or socket.number not in self._alive:
                self._alive[socket.number] = wall
            elif wall > self._alive[socket.number] + QUIET_S and not socket.is_closing:
                self.disconnect(socket, code=4004)

    def forget(self, socket: Socket) -> None:
        """Forget a connection that has ended."""
        self._alive.pop(socket.number, None)
        super().forget(socket)

    def receive(self, socket: Socket, text: str) -> None:
        """Handle ping, subscribe and unsubscribe."""
        self._alive[socket.number] = self.venue.wall()
        if text == "ping":
            self.say(socket, "pong")
            return
        try:
            asked = json.loads(text)
            op, args = asked["op"], [(arg["channel"], arg["instId"]) for arg in asked["args"]]
        except (ValueError, KeyError, TypeError):
            op, args = "", []
        if op not in ("subscribe", "unsubscribe") or not args:
            self._refuse(socket, "60012", f"Invalid request: {text[:200]}")
            return
        self.turn()
        for channel, name in args:
            self._change(socket, op, str(channel), str(name))

    def _change(self, socket: Socket, op: str, channel: str, name: str) -> None:
        market = self.venue.markets.get(name)
        refused = market is None or self.venue.faults.is_refused(str(market.pair), self.venue.now())
        if channel != CHANNEL or (refused and op == "subscribe"):
            self._refuse(
                socket,
                "60018",
                f"Wrong URL or channel:{channel},instId:{name} doesn't exist. Please use the correct URL, channel and "
                "parameters referring to API document.",
            )
            return
        if op == "subscribe":
            socket.subscriptions[channel, name] = None
        else:
            socket.subscriptions.pop((channel, name), None)
        self.say(socket, {"event": op, "arg": {"channel": channel, "instId": name}, "connId": "a4d3ae55"})

    def _refuse(self, socket: Socket, code: str, message: str) -> None:
        self.say(socket, {"event": "error", "code": code, "msg": message, "connId": "a4d3ae55"})
