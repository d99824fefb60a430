"""The sending side of the streamer: each turn sends every socket what was discovered since the last one."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import msgspec
from starlette.websockets import WebSocket

from simulator import frames
from simulator.faults import DEFAULT_REPLAY
from simulator.pairs import Pair
from simulator.provider import Provider
from simulator.trades import MINUTE_NS, SECOND_NS, Source, Trade

TURN_S = 0.02  # of the wall clock; trades due within it are sent together
HEARTBEAT_INTERVAL_NS = 30 * SECOND_NS
MAX_WAITING_FRAMES = 500_000  # a client that is further behind is disconnected
CLOSE_FRAME = ""


class Frame(NamedTuple):
    """A frame with its line for the log (without socket and time); an empty line is not logged."""

    text: str
    line: str = ""


@dataclass(eq=False, slots=True)
class Socket:
    """One connection: the frames that wait to be sent, its subscriptions, and until when it is silent."""

    number: int
    key: str
    web: WebSocket
    next_heartbeat: int
    pairs: set[Pair] = field(default_factory=set)
    waiting: list[Frame] = field(default_factory=list)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    silent_until: int = 0
    last_frame: int = 0

    def put(self, *frames: Frame) -> None:
        """Queue frames in their order."""
        self.waiting.extend(frames)
        self.wake.set()

    def hang_up(self) -> None:
        """Close the connection after the waiting frames."""
        self.put(Frame(CLOSE_FRAME))


class Streamer:
    """All sockets of the provider; `sent_until` is the time (ns) up to which discovered trades were queued."""

    def __init__(self, provider: Provider) -> None:
        """Send trades from now on."""
        self.provider = provider
        self.sockets: dict[int, Socket] = {}
        self.opened: dict[str, Counter[str]] = defaultdict(Counter)
        self.sent_until = provider.now()
        self._last_sent: dict[Pair, int] = {}
        self._numbers = 0

    async def run(self) -> None:
        """Take turns for ever."""
        while True:
            self.turn()
            await asyncio.sleep(TURN_S)

    def turn(self) -> int:
        """Queue what is due, in order of discovery and before any heartbeat; return the time up to which that is."""
        now = self.provider.now()
        for pair, source in self.provider.sources.items():
            self._send_trades(pair, source, now)
        self.sent_until = now
        for socket in self.sockets.values():
            if now >= socket.next_heartbeat:
                socket.next_heartbeat += HEARTBEAT_INTERVAL_NS * (
                    1 + (now - socket.next_heartbeat) // HEARTBEAT_INTERVAL_NS
                )
                stamp = self.provider.faults.stamps.at(now)
                self.answer(socket, frames.heartbeat_frame(stamp), '"event":"heartbeat"')
        return now

    def _send_trades(self, pair: Pair, source: Source, now: int) -> None:
        """Queue a market's new trades for its subscribers; a silent socket never gets them."""
        readers = [socket for socket in self.sockets.values() if pair in socket.pairs and self._receives(socket, now)]
        if not readers:
            return
        trades = source.between(self.sent_until, now)
        if lost := min(self.provider.faults.lose.get(str(pair), 0), len(trades)):
            self.provider.faults.lose[str(pair)] -= lost
            self.provider.log.note("lost", market=str(pair), ids=[trade.id for trade in trades[:lost]])
            trades = trades[lost:]

        found = self._frames(source, trades)
        for socket in readers:
            if len(socket.waiting) > MAX_WAITING_FRAMES:
                self.disconnect(socket, frames.control_frame(500, "FORCE_DISCONNECT", INFO="You read too slowly."))
            elif found:
                socket.put(*found)
        if trades:
            self._last_sent[pair] = trades[-1].rts
            self.provider.sent[str(pair)] += len(trades) * len(readers)
            self.provider.sent_minutes[pair] |= {trade.ts // MINUTE_NS * 60 for trade in trades}

    def _frames(self, source: Source, trades: list[Trade]) -> list[Frame]:
        places = source.price_places + source.amount_places
        faults, market = self.provider.faults, str(source.pair)
        sent = [
            msgspec.structs.replace(trade, id="0") if faults.shares_id(market, trade.rts) else trade for trade in trades
        ]
        return [
            Frame(frames.trade_frame(source.pair, trade, places), frames.trade_line(source.pair, trade))
            for trade in sent
        ]

    def _receives(self, socket: Socket, now: int) -> bool:
        return now >= max(socket.silent_until, self.provider.faults.silent_until)

    def answer(self, socket: Socket, text: str, line: str = "") -> None:
        """Queue a frame that is not a live trade, unless the socket is silent."""
        if self._receives(socket, self.provider.now()):
            socket.put(Frame(text, line))

    def open(self, web: WebSocket, key: str) -> Socket:
        """Register a new connection and welcome it."""
        now = self.provider.now()
        self._numbers += 1
        socket = Socket(now // SECOND_NS * 1000 + self._numbers % 1000, key, web, now + HEARTBEAT_INTERVAL_NS)
        self.sockets[socket.number] = socket
        self.provider.log.note("opened", socket=socket.number, at=now)
        uptime = (now - self.provider.started) // SECOND_NS
        self.answer(socket, frames.welcome_frame(now, socket.number, uptime, self.opened[key]))
        return socket

    def forget(self, socket: Socket) -> None:
        """Forget a connection that has ended."""
        if self.sockets.pop(socket.number, None):
            now = self.provider.now()
            self.provider.log.note("closed", socket=socket.number, at=now, last_frame=socket.last_frame)

    def disconnect(self, socket: Socket, last: str = "") -> None:
        """Send nothing more but `last`, and close."""
        socket.pairs.clear()
        socket.waiting.clear()
        if last:
            socket.put(Frame(last))
        socket.hang_up()

    def disconnect_all(self, last: str = "") -> int:
        """Disconnect every socket; return how many."""
        for socket in self.sockets.values():
            self.disconnect(socket, last)
        return len(self.sockets)

    def subscribe(self, socket: Socket, pair: Pair, sub: str) -> None:
        """Replay the newest trades, confirm the subscription and continue live, without losing or repeating a trade."""
        now = self.turn()
        source = self.provider.sources[pair]
        replayed = self.provider.faults.replay
        if replayed == "bridge":  # what no socket was sent, and some more
            replayed = DEFAULT_REPLAY + len(source.between(self._last_sent.get(pair, now), now))
        trades = source.newest(replayed, now)
        for frame in self._frames(source, trades):
            self.answer(socket, frame.text, f'{frame.line},"replayed":true')
        if trades:
            self._last_sent[pair] = trades[-1].rts
            self.provider.sent[str(pair)] += len(trades)
        line = f'"event":"subscribed","market":"{pair}","until":{now}'
        self.answer(socket, frames.control_frame(16, "SUBSCRIBECOMPLETE", SUB=sub), line)
        socket.pairs.add(pair)

    async def write(self, socket: Socket) -> None:
        """Send a socket's waiting frames until it is closed; each line is logged before its frame is sent."""
        while True:
            await socket.wake.wait()
            socket.wake.clear()
            batch, socket.waiting = socket.waiting, []
            now = self.provider.now()
            ending = f'"socket":{socket.number},"at":{now}}}'
            self.provider.log.write(f"{{{frame.line},{ending}" for frame in batch if frame.line)
            for frame in batch:
                if frame.text == CLOSE_FRAME:
                    await socket.web.close(code=1001)
                    return
                await socket.web.send_text(frame.text)
            socket.last_frame = now


GarbageKind = Literal["text", "array", "price", "market"]


def garbage(kind: GarbageKind, pair: Pair, now: int) -> str:
    """Return a malformed frame: not JSON, not an object, a bad price, or an unknown market."""
    good = (
        f'{{"TYPE":"0","M":"{pair.venue.name}","FSYM":"{pair.base}","TSYM":"{pair.quote}","F":"1","ID":"0",'
        f'"TS":{now // SECOND_NS},"Q":1,"P":100,"RTS":{now // SECOND_NS}}}'
    )
    if kind == "price":
        return good.replace('"P":100', '"P":-100')
    if kind == "market":
        return good.replace(pair.venue.name, "Nowhere")
    return "<html>502 Bad Gateway</html>" if kind == "text" else "[1,2,3]"
