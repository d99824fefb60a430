"""One WebSocket: commands come in, the newest state of what is followed goes out.

Events are the same however many connections follow a series: the hub reads each change once. A connection that takes
nothing for long is cut by the hub, and one whose key is revoked is ended by it; the client connects again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from time import monotonic

import structlog
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect
from uvicorn.protocols.utils import ClientDisconnected

from datastore.access.stream_tickets import Ticket
from datastore.api.binance.errors import BAD_SYMBOL, DISCONNECTED, Refused, refusal
from datastore.api.binance.names import by_symbol, markets_named
from datastore.models import Market
from datastore.reference.provider_registry import traits_of
from datastore.reference.traits import Proof
from datastore.sse.binance.admission import admit, check_source
from datastore.sse.binance.commands import (
    BAD_REQUEST,
    BAD_VALUE,
    COMBINED,
    MESSAGES_PER_SECOND,
    UNKNOWN_PROPERTY,
    BadCommand,
    Command,
    error,
    names_in,
    read_command,
    result,
)
from datastore.sse.binance.events import TradeIds
from datastore.sse.binance.kline_follower import KlineFollower, has_ids
from datastore.sse.binance.names import KLINE, MAX_STREAMS, TRADE, BadStream, StreamName, address_of, stream_name
from datastore.sse.binance.trade_channel import TradeFollower
from datastore.sse.follower import Follower, SocketFollower
from datastore.sse.hub import Hub
from datastore.sse.reader_pool import DatabaseAway

NORMAL, GOING_AWAY, POLICY = 1000, 1001, 1008  # codes of RFC 6455
RETRY_AFTER_S = "5"
SNAPSHOT_ROWS = 2  # of which the newest is sent first
log = structlog.get_logger(__name__)
OneFollower = KlineFollower | TradeFollower


def find_streams(names: Sequence[StreamName]) -> list[tuple[StreamName, Market, str]]:
    """Return streams with their markets, and the symbols under which their events show these. Raises Refused.

    In as many statements as for one.
    """
    markets = markets_named([name.symbol for name in names])
    symbols = {market: symbol for symbol, market in by_symbol(list(dict.fromkeys(markets))).items()}
    for name, market in zip(names, markets, strict=True):
        traits = traits_of(market.provider)
        if name.kind != KLINE and Proof.IDS not in traits.proofs:
            raise Refused(BAD_SYMBOL, f"Invalid symbol. The venue of {market.symbol} gives its trades no ids.")
        if name.kind == TRADE and traits.stream.aggregates:
            sentence = f"Invalid symbol. Trades of {market.symbol} come as aggregates: follow @aggTrade."
            raise Refused(BAD_SYMBOL, sentence)
    return [(name, market, symbols[market]) for name, market in zip(names, markets, strict=True)]


class BinanceEndpoint:
    """/binance/ws, /binance/ws/<streams> and /binance/stream?streams=<streams>."""

    def __init__(self, hub: Hub, cut: Callable[[object], None], most: int) -> None:
        """Follow the hub's channels; cut() ends a connection at once, most: how many there may be, with sockets."""
        self._hub, self._cut, self._most = hub, cut, most

    async def serve(self, socket: WebSocket) -> None:
        """Serve one connection until it ends."""
        try:
            check_source(socket.headers)
            address = address_of(socket.url.path, socket.query_params.get("streams"))
            key = await self._hub.read(partial(admit, socket))
            cut = partial(self._cut, socket.scope["client"])
            with Connection(self._hub, self._most, socket, key, cut) as connection:
                connection.combined = address.combined
                connection.follow(await connection.find(address.streams))
                await socket.accept()
                await connection.serve()
        except (BadStream, Refused, DatabaseAway) as exc:  # none of them once it is accepted
            await socket.send_denial_response(_denial(exc))


def _denial(exc: BadStream | Refused | DatabaseAway) -> Response:
    if isinstance(exc, Refused):
        answer = refusal(exc.code, exc.sentence, exc.status, exc.headers)
    elif isinstance(exc, BadStream):
        answer = refusal(BAD_SYMBOL, str(exc), 400)
    else:
        answer = refusal(DISCONNECTED, "The database does not answer right now. Try again soon.", 503)
    return Response(answer.content, answer.status_code, dict(answer.items()))


class Connection:
    """Belongs to the event loop."""

    def __init__(self, hub: Hub, most: int, socket: WebSocket, key: str | None, cut: Callable[[], None]) -> None:
        """Follow nothing yet; key: the prefix of the client's API key."""
        self.combined = False
        self._hub, self._most, self._socket, self._cut = hub, most, socket, cut
        self._ticket = Ticket(
            market=None,
            symbol="",
            timeframe="",
            limit=SNAPSHOT_ROWS,
            cursor=None,
            key=key,
            user=None,
            stream=None,
            again="",
            page="",
            foreign=False,
        )
        self._itself = SocketFollower(self._ticket, partial(self._end, GOING_AWAY))
        self._streams: dict[str, OneFollower] = {}
        self._replies: list[str] = []
        self._ready: dict[Follower, None] = {}  # those that have something to send, in their order
        self._wake_up = asyncio.Event()
        self._closing: int | None = None  # the code of the end

    def __enter__(self) -> Connection:
        """Take a place among those that follow. Raises Refused."""
        self._check_room(1)
        self._hub.join(self._itself, self._cut)
        return self

    def __exit__(self, *_: object) -> None:
        """Follow nothing any more."""
        for follower in (*self._streams.values(), self._itself):
            self._hub.leave(follower)

    async def find(self, names: Sequence[StreamName]) -> list[tuple[StreamName, Market, str]]:
        """Return the markets of streams. Raises Refused, DatabaseAway."""
        new = [name for name in dict.fromkeys(names) if name.text not in self._streams]
        if len(self._streams) + len(new) > MAX_STREAMS:
            raise Refused(BAD_SYMBOL, f"Too many streams: one connection may follow {MAX_STREAMS:,}.")
        return await self._hub.read(partial(find_streams, new)) if new else []

    def follow(self, found: Sequence[tuple[StreamName, Market, str]]) -> None:
        """Follow these streams as well. Raises Refused."""
        self._check_room(len(found))
        for name, market, symbol in found:
            ticket = replace(self._ticket, market=market.pk, symbol=market.symbol, timeframe=name.timeframe)
            make = KlineFollower if name.kind == KLINE else TradeFollower
            follower: OneFollower = make(ticket, name, symbol, self._note_ready)
            self._streams[name.text] = follower
            self._hub.join(follower, self._cut)

    async def serve(self) -> None:
        """Answer commands and send events until either side ends the connection."""
        incoming = asyncio.create_task(self._receive())
        try:
            while self._closing is None:
                self._wake_up.clear()
                await self._send_all()
                if not self._ready and not self._replies and self._closing is None:
                    await self._wake_up.wait()
            with suppress(RuntimeError):  # the client has gone already
                await self._socket.close(self._closing)
        except (ClientDisconnected, WebSocketDisconnect):
            pass
        finally:
            incoming.cancel()

    def _check_room(self, more: int) -> None:
        if len(self._hub) + more > self._most:
            again = {"Retry-After": RETRY_AFTER_S}
            raise Refused(DISCONNECTED, "As many follow as this process serves. Try again soon.", 503, again)

    def _note_ready(self, follower: Follower) -> None:
        self._ready[follower] = None
        self._wake_up.set()

    def _end(self, code: int) -> None:
        self._closing = self._closing or code
        self._wake_up.set()

    async def _send_all(self) -> None:
        replies, self._replies = self._replies, []
        for text in replies:
            self._itself.sending_since = monotonic()
            await self._socket.send_text(text)
            self._itself.sending_since = None
        ready, self._ready = list(self._ready), {}
        for follower in ready:
            assert isinstance(follower, KlineFollower | TradeFollower)  # noqa: S101 - no other calls back
            if follower.is_over:
                self._end(GOING_AWAY)
            for text in await self._texts(follower):
                follower.sending_since = monotonic()
                await self._socket.send_text(text)
                follower.sending_since, follower.sent_at = None, monotonic()
                self._hub.sent += 1

    async def _texts(self, follower: OneFollower) -> list[str]:
        """Return the messages of a follower that are due."""
        if isinstance(follower, TradeFollower):
            return [follower.text_of(trade, self.combined) for trade in follower.take()]
        texts = []
        for read_at, row in follower.take():
            ids = TradeIds()
            if has_ids(row):
                # The same for all who follow this series, until it changes.
                kept = (follower.ticket.market, follower.name.timeframe, row[0], read_at)
                with suppress(DatabaseAway):
                    ids = await self._hub.read_once(kept, follower.ids_reader(row))
            texts.append(follower.text_of(row, ids, read_at, self.combined))
        return texts

    async def _receive(self) -> None:
        """Follow the client's commands until it goes."""
        window, count = monotonic(), 0
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                self._end(NORMAL)
                return
            if monotonic() - window > 1:
                window, count = monotonic(), 0
            count += 1
            if count > MESSAGES_PER_SECOND:
                self._end(POLICY)
                return
            self._replies.append(await self._reply(message.get("text") or message.get("bytes") or ""))
            self._wake_up.set()

    async def _reply(self, text: str | bytes) -> str:
        """Do what a message asks, and return the answer to it."""
        try:
            command = read_command(text)
            return result(await self._obey(command), command.id)
        except BadCommand as exc:
            return error(exc)

    async def _obey(self, command: Command) -> object:
        if command.method == "LIST_SUBSCRIPTIONS":
            return list(self._streams)
        if command.method in ("SET_PROPERTY", "GET_PROPERTY"):
            return self._property(command)
        if command.method == "UNSUBSCRIBE":
            for name in names_in(command):
                if follower := self._streams.pop(name, None):
                    self._hub.leave(follower)
                    self._ready.pop(follower, None)
            return None
        try:
            self.follow(await self.find([stream_name(name) for name in names_in(command)]))
        except BadStream as exc:
            raise BadCommand(BAD_REQUEST, f"Invalid request: {exc}", command.id) from None
        except Refused as exc:
            raise BadCommand(exc.code, exc.sentence, command.id) from None
        except DatabaseAway:
            raise BadCommand(DISCONNECTED, "The database does not answer right now.", command.id) from None
        return None

    def _property(self, command: Command) -> object:
        name, *values = command.params or [""]
        if name != COMBINED:
            raise BadCommand(UNKNOWN_PROPERTY, "Unknown property", command.id)
        if command.method == "GET_PROPERTY":
            return self.combined
        if len(values) != 1 or not isinstance(values[0], bool):
            raise BadCommand(BAD_VALUE, "Invalid value type: expected Boolean", command.id)
        self.combined = values[0]
        return None
