"""The sending side of a venue's socket: each turn sends every connection what was traded since the last one."""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

from starlette.websockets import WebSocket

from simulator.numerals import plain
from simulator.streamer import CLOSE_FRAME, TURN_S, Frame
from simulator.trades import SECOND_NS
from simulator.venues.ledger import NumberedTrade
from simulator.venues.limits import Limit
from simulator.venues.venue import Market, Venue

MAX_WAITING_FRAMES = 500_000  # a client that is further behind is disconnected
GOING_AWAY = 1001


@dataclass(eq=False, slots=True)
class Socket:
    """One connection: what it is subscribed to, (channel, market), and the frames that wait to be sent."""

    number: int
    web: WebSocket
    opened: int  # ns
    idle_since: float  # of the wall clock, in seconds
    messages: Limit
    wrapped: bool = False  # Binance's combined streams
    subscriptions: dict[tuple[str, str], None] = field(default_factory=dict)
    waiting: list[Frame] = field(default_factory=list)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    silent_until: int = 0
    last_frame: int = 0
    ends_at: int | None = None  # ns: announced
    code: int = GOING_AWAY
    is_closing: bool = False

    def put(self, *frames: Frame) -> None:
        """Queue frames in their order."""
        self.waiting.extend(frames)
        self.wake.set()

    def hang_up(self, code: int = GOING_AWAY) -> None:
        """Close the connection after the waiting frames."""
        self.code, self.is_closing = code, True
        self.put(Frame(CLOSE_FRAME))


class Feed(ABC):
    """All connections of one venue; `sent_until` is the time (ns) up to which trades were queued."""

    trade_channel: ClassVar[str]
    idle_s: ClassVar[float]  # of the wall clock: connections without a subscription are closed after it
    lifetime_s: ClassVar[float | None] = None  # connections are closed after it
    notice_s: ClassVar[float | None] = None  # how long before; None: the venue announces nothing

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.sockets: dict[int, Socket] = {}
        self.sent_until = venue.now()
        self._numbers = 0
        self._ended = {"taken": 0, "peak": 0, "exceeded": 0}  # messages of connections that have ended

    async def run(self) -> None:
        """Take turns for ever."""
        while True:
            self.turn()
            await asyncio.sleep(TURN_S)

    def turn(self) -> int:
        """Queue what is due, trades before anything that speaks of them; return the time up to which that is."""
        now = self.venue.now()
        self.queue_first_frames(now)
        for market in self.venue.markets.values():
            if readers := self.readers(self.trade_channel, market.name, now):
                self._send_trades(market, readers, now)
        self.sent_until = now
        self.queue_other_frames(now)
        for socket in list(self.sockets.values()):
            # Close a connection that has lived long enough, whose end was announced, or that asks for nothing.
            lifetime, wall = self.lifetime_ns(), self.venue.wall()
            if socket.subscriptions:
                socket.idle_since = max(socket.idle_since, wall)
            is_old = lifetime is not None and now >= socket.opened + lifetime
            is_announced = socket.ends_at is not None and now >= socket.ends_at
            if not socket.is_closing and (is_old or is_announced or wall > socket.idle_since + self.idle_s):
                self.disconnect(socket)
        return now

    @abstractmethod
    def frames_of(self, market: Market, rows: list[NumberedTrade], now: int) -> list[tuple[str, list[NumberedTrade]]]:
        """Return the trades as frames, in order, each with the rows in it."""

    @abstractmethod
    def queue_other_frames(self, now: int) -> None:
        """Queue what is due besides trades: heartbeats, candles."""

    @abstractmethod
    def receive(self, socket: Socket, text: str) -> None:
        """Handle a client's message."""

    @abstractmethod
    def new_messages_limit(self) -> Limit:
        """Return what one connection's messages are counted by."""

    def too_many_messages(self, socket: Socket) -> None:
        """Answer a message over the limit."""
        self.disconnect(socket, code=1008)

    def queue_first_frames(self, now: int) -> None:
        """Queue what is due before the trades."""
        return None

    def begin(self, socket: Socket) -> None:
        """Do what the address of a new connection asks for."""
        return None

    def welcome(self) -> object | None:
        """Return what a new connection is sent first."""
        return None

    def notice(self) -> object | None:
        """Return what announces an end, where the venue has that."""
        return None

    def too_slow(self, socket: Socket) -> None:
        """Disconnect a client that does not read."""
        self.disconnect(socket)

    def addressed(self, socket: Socket, channel: str, market: Market, text: str) -> str:
        """Return a channel's frame as this connection gets it."""
        return text

    def readers(self, channel: str, market: str, now: int) -> list[Socket]:
        """Return the connections that get a channel of a market now."""
        wanted = (channel, market)
        return [
            socket for socket in self.sockets.values() if wanted in socket.subscriptions and self.hears(socket, now)
        ]

    def hears(self, socket: Socket, now: int) -> bool:
        """Return whether a connection is sent anything now."""
        return now >= max(socket.silent_until, self.venue.faults.silent_until)

    def say(self, socket: Socket, content: object, line: str = "") -> None:
        """Queue an answer, unless the connection is silent."""
        if self.hears(socket, self.venue.now()):
            text = content if isinstance(content, str) else json.dumps(content, separators=(",", ":"))
            socket.put(Frame(text, line))

    def _send_trades(self, market: Market, readers: list[Socket], now: int) -> None:
        """Queue a market's new trades for its readers, but those that faults keep back."""
        faults, name = self.venue.faults, str(market.pair)
        rows, lost = faults.what_is_sent(name, market.ledger.between(self.sent_until, now), now)
        if lost:
            self.note("lost", market=name, ids=[str(row.id) for row in lost])
        if self.venue.in_maintenance(now):
            return
        frames = [
            (text, "\n".join(self.line_of(market, row) for row in inside))
            for text, inside in (self.frames_of(market, rows, now) if rows else ())
        ]
        for socket in readers:
            if len(socket.waiting) > MAX_WAITING_FRAMES:
                self.too_slow(socket)
            else:
                socket.put(
                    *(Frame(self.addressed(socket, self.trade_channel, market, text), line) for text, line in frames)
                )
        self.venue.sent[name] += len(rows) * len(readers)

    def line_of(self, market: Market, row: NumberedTrade) -> str:
        """Return the log line of a sent trade, without socket and time."""
        places = market.source.price_places, market.source.amount_places
        return (
            f'"event":"trade","venue":"{self.venue.name}","market":"{market.pair}","id":"{row.id}","ccseq":null,'
            f'"first":{row.first},"last":{row.last},"ts":{row.ts},"rts":{row.ts},'
            f'"price":"{plain(row.price, places[0])}","amount":"{plain(row.amount, places[1])}"'
        )

    def note(self, event: str, **fields: object) -> None:
        """Write a line to the log."""
        self.venue.provider.log.note(event, venue=self.venue.name, **fields)

    def open(self, web: WebSocket) -> Socket:
        """Register a new connection and welcome it."""
        now = self.venue.now()
        self._numbers += 1
        number = now // SECOND_NS * 1000 + self._numbers % 1000
        socket = Socket(number, web, now, self.venue.wall(), self.new_messages_limit())
        self.sockets[number] = socket
        self.note("opened", socket=number, at=now)
        if (welcome := self.welcome()) is not None:
            self.say(socket, welcome)
        self.begin(socket)
        return socket

    def forget(self, socket: Socket) -> None:
        """Forget a connection that has ended."""
        if self.sockets.pop(socket.number, None):
            self._ended = _with(self._ended, socket.messages)
            self.note("closed", socket=socket.number, at=self.venue.now(), last_frame=socket.last_frame)

    def messages_report(self) -> dict[str, object]:
        """Return the figures of the limit that each connection's messages have; `peak` is of the busiest one."""
        figures = self._ended
        for socket in self.sockets.values():
            figures = _with(figures, socket.messages)
        return {**self.new_messages_limit().report(), **figures, "limit": "messages of a connection"}

    def disconnect(self, socket: Socket, last: object = None, code: int = GOING_AWAY) -> None:
        """Send nothing more but `last`, and close."""
        socket.subscriptions.clear()
        socket.waiting.clear()
        if last is not None:
            self.say(socket, last)
        socket.hang_up(code)

    def disconnect_all(self, notice_s: float | None = None) -> int:
        """Disconnect every connection, now or (announced) after so many seconds; return how many."""
        for socket in self.sockets.values():
            if notice_s is None:
                self.disconnect(socket)
            else:
                self.say(socket, self.notice())
                socket.ends_at = self.venue.now() + int(notice_s * SECOND_NS)
        return len(self.sockets)

    def lifetime_ns(self) -> int | None:
        """Return how long connections live."""
        if self.venue.faults.lifetime_ns is not None:
            return self.venue.faults.lifetime_ns
        return None if self.lifetime_s is None else int(self.lifetime_s * SECOND_NS)

    async def write(self, socket: Socket) -> None:
        """Send a connection's waiting frames until it is closed; each line is logged before its frame is sent."""
        while True:
            await socket.wake.wait()
            socket.wake.clear()
            batch, socket.waiting = socket.waiting, []
            now = self.venue.now()
            ending = f'"socket":{socket.number},"at":{now}'
            self.venue.provider.log.write(
                f"{{{line},{ending}}}" for frame in batch if frame.line for line in frame.line.split("\n")
            )
            for frame in batch:
                if frame.text == CLOSE_FRAME:
                    await socket.web.close(code=socket.code)
                    return
                await socket.web.send_text(frame.text)
            socket.last_frame = now


def _with(figures: dict[str, int], limit: Limit) -> dict[str, int]:
    return {
        "taken": figures["taken"] + limit.taken,
        "peak": max(figures["peak"], limit.peak),
        "exceeded": figures["exceeded"] + limit.exceeded,
    }
