"""Coinbase's socket: subscriptions to the channels matches and heartbeat."""

from __future__ import annotations

import json
from typing import ClassVar

from simulator.trades import SECOND_NS
from simulator.venues.coinbase.frames import heartbeat_frame, match_frame
from simulator.venues.feed import Feed, Socket
from simulator.venues.ledger import NumberedTrade
from simulator.venues.limits import Bucket, Limit
from simulator.venues.venue import Market, Venue

CHANNELS = ("matches", "heartbeat")
Error = tuple[str, str]  # message and reason


class CoinbaseFeed(Feed):
    """All connections to Coinbase."""

    trade_channel = "matches"
    idle_s: ClassVar[float] = 5  # "a subscribe message within 5 seconds"

    def __init__(self, venue: Venue) -> None:
        super().__init__(venue)
        self._next_heartbeat = venue.now() + SECOND_NS

    def new_messages_limit(self) -> Limit:
        """Return the limit of one connection's messages."""
        return Bucket("messages", 100, 100)

    def frames_of(self, market: Market, rows: list[NumberedTrade], now: int) -> list[tuple[str, list[NumberedTrade]]]:
        """Return a frame for each trade."""
        return [(match_frame(market, row), [row]) for row in rows]

    def queue_other_frames(self, now: int) -> None:
        """Queue a heartbeat of each product every second: all trades before it were queued before it."""
        if now < self._next_heartbeat:
            return
        self._next_heartbeat += SECOND_NS * (1 + (now - self._next_heartbeat) // SECOND_NS)
        for market in self.venue.markets.values():
            if readers := self.readers("heartbeat", market.name, now):
                stop = market.ledger.count(now)
                newest = market.source.id_at(stop - 1) if stop else 0
                said = self.venue.faults.statements.last_id(now, newest)
                if said is not None:
                    text = heartbeat_frame(market, said, self.venue.shown())
                    for socket in readers:
                        self.say(socket, text)

    def receive(self, socket: Socket, text: str) -> None:
        """Handle subscribe or unsubscribe; one bad product refuses the whole message."""
        asked = self._read(text)
        if isinstance(asked[0], str):
            message, reason = asked
            self.say(socket, {"type": "error", "message": message, "reason": reason})
            return
        self.turn()
        wanted, is_new = asked
        if is_new:
            socket.idle_since = float("inf")  # the first one had to come in time; after it, none has to
        fresh = [each for each in wanted if each not in socket.subscriptions]
        for each in wanted:
            if is_new:
                socket.subscriptions[each] = None
            else:
                socket.subscriptions.pop(each, None)

        channels = [
            {"name": channel, "product_ids": products}
            for channel in CHANNELS
            if (products := [product for name, product in socket.subscriptions if name == channel])
        ]
        self.say(socket, {"type": "subscriptions", "channels": channels})

        if is_new:
            for channel, product in fresh:
                market = self.venue.markets[product]
                stop = market.ledger.count(self.sent_until)
                if channel == self.trade_channel and stop:
                    (row,) = market.ledger.rows(stop - 1, stop)
                    line = f'{self.line_of(market, row)},"replayed":true'
                    self.say(socket, match_frame(market, row, "last_match"), line)

    def _read(self, text: str) -> Error | tuple[list[tuple[str, str]], bool]:
        """Return the channels of a message and whether they are to begin, or what is wrong."""
        try:
            asked = json.loads(text)
            kind, products = asked["type"], asked.get("product_ids") or []
            if asked["type"] == "unsubscribe" and not products:
                products = list(self.venue.markets)
            channels = [(each, products) if isinstance(each, str) else (each["name"], each.get("product_ids", products))
                        for each in asked["channels"]]  # fmt: skip
            wanted = [(str(channel), str(product)) for channel, found in channels for product in found]
        except (ValueError, KeyError, TypeError, AttributeError):
            return "Failed to subscribe", "malformed message"
        if kind not in ("subscribe", "unsubscribe"):
            return "Failed to subscribe", f"{kind} is not a valid type"
        for channel, product in wanted:
            if channel not in CHANNELS:
                return "Failed to subscribe", f"{channel} is not a valid channel"
            market = self.venue.markets.get(product)
            if market is None or self.venue.faults.is_refused(str(market.pair), self.venue.now()):
                return "Failed to subscribe", f"{product} is not a valid product"
        return (wanted, kind == "subscribe") if wanted else ("Failed to subscribe", "No channels provided")

    def too_many_messages(self, socket: Socket) -> None:
        """Refuse the message."""
        self.say(socket, {"type": "error", "message": "rate limit exceeded"})

    def too_slow(self, socket: Socket) -> None:
        """Name the reason, and disconnect."""
        self.disconnect(socket, {"type": "error", "message": "ErrSlowConsume"})
