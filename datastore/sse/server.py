"""The stream process: Server-Sent Events for whoever comes with a ticket of the API's.

`GET /stream/candles?ticket=…` answers `text/event-stream`. Its events (data is JSON; docs/api.md, "Streaming"):

| event | data |
|---|---|
| snapshot | as GET candles, with `reason`: why it is shown, null for a reader without a cursor |
| candle | a row of GET candles: time, open, high, low, close, …; one whose trades are 0 is gone |
| gap | from, to, state, reason, repair: a stretch that is or was a hole, as the certificate shows it now |
| watermark | watermark, version: all before it that is closed has been told |

`id:` is the cursor to come back with. A lost connection is taken up by asking the API again, or here with the same
ticket and Last-Event-ID (tickets.py); a ticket that is too old leads to the API. SIGTERM ends all streams: their
readers return.
"""

from __future__ import annotations

import asyncio
import random
import resource
import socket
from collections.abc import Mapping
from functools import partial
from time import monotonic
from typing import Any
from urllib.parse import quote

import structlog
from django.conf import settings
from django.http import HttpResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

from datastore.access.stream_tickets import STREAM_PATH, BadTicket, Ticket, TicketAge, read_ticket
from datastore.api.responses.problem import problem_response
from datastore.sse.cursor import NOT_OURS, read_cursor
from datastore.sse.follower import Follower
from datastore.sse.hub import Hub
from datastore.sse.messages import greeting

METHODS = ("GET", "HEAD", "OPTIONS")
MOST = 10_000  # connections
RETRY = (1_000, 3_000)  # ms: spread, so that not all come back at once
WAITING = 64 * 1024  # bytes the kernel may hold for one reader: what waits there is never made newer
FILES = 65_536
GRACE = 3  # seconds for all streams to end
HEAD = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # nginx would hold events back
}
log = structlog.get_logger(__name__)


class AbortableConnection(H11Protocol):
    """A connection that can be cut: closing would wait for what a reader does not take."""

    open: dict[Any, AbortableConnection] = {}  # by the reader's address

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Note the connection."""
        super().connection_made(transport)
        self.open[self.client] = self

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.open.pop(self.client, None)
        super().connection_lost(exc)

    @classmethod
    def cut(cls, client: Any) -> None:
        """End a connection at once, whatever waits to be sent."""
        line = cls.open.get(client)
        if line is not None:
            line.transport.abort()


class Follow:
    """GET /stream/candles."""

    def __init__(self, hub: Hub) -> None:
        """Serve the hub's channels."""
        self._hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as long as it lasts."""
        request = Request(scope)
        if request.method not in METHODS:
            refusal = problem_response(405, "Streams are only read.", headers={"Allow": ", ".join(METHODS)})
            await answered(refusal)(scope, receive, send)
            return
        if request.method == "OPTIONS":
            await preflight(request)(scope, receive, send)
            return
        try:
            ticket, age = read_ticket(request.query_params.get("ticket", ""))
        except BadTicket as exc:
            told = f"This is no ticket of ours: {exc}. GET /api/v1/candles/stream leads here with one."
            await answered(problem_response(403, told, kind="bad-ticket"))(scope, receive, send)
            return
        last = request.headers.get("last-event-id")
        cursor = last or ticket.cursor
        good = age is TicketAge.FRESH or (age is TicketAge.STALE and last and await self._hub.may_still_read(ticket))
        if not good:
            await redirect_for_ticket(request, ticket, cursor)(scope, receive, send)
        elif len(self._hub) >= MOST:
            await full(request, ticket)(scope, receive, send)
        else:
            await self._stream(request, ticket, cursor, receive, send)

    async def _stream(self, request: Request, ticket: Ticket, cursor: str | None, receive: Receive, send: Send) -> None:
        headers = {**HEAD, **cors(request, ticket)}
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": raw})
        if request.method != "HEAD":
            follower = follower_of(ticket, cursor)
            gone = asyncio.create_task(_gone(receive))
            gone.add_done_callback(lambda _: follower.close())
            self._hub.join(follower, partial(AbortableConnection.cut, request.scope["client"]))
            try:
                await self._send_all(follower, send)
            finally:
                self._hub.leave(follower)
                gone.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_all(self, follower: Follower, send: Send) -> None:
        text: bytes | None = greeting(random.randint(*RETRY))
        while text is not None:
            follower.sending_since = monotonic()
            await send({"type": "http.response.body", "body": text, "more_body": True})
            follower.sending_since, follower.sent_at = None, monotonic()
            self._hub.sent += text.count(b"\n\n")
            text = await follower.next()


class StreamServer(Server):
    """uvicorn with the hub beside it; at the end the streams go first, for uvicorn waits for every connection."""

    def __init__(self, hub: Hub, config: Config) -> None:
        """Serve this hub."""
        super().__init__(config)
        self.hub = hub

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the hub and listen."""
        self.hub.start()
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let all go."""
        await self.hub.close()
        await super().shutdown(sockets)


def application(hub: Hub) -> Starlette:
    """Return the ASGI application."""
    alive, nowhere = Route("/health/live", _alive), Route("/{rest:path}", _Nowhere())
    return Starlette(routes=[Route(STREAM_PATH, Follow(hub)), alive, nowhere])


def make_server(hub: Hub) -> StreamServer:
    """Return the server; run it with a socket of listening()."""
    config = Config(
        application(hub),
        http=AbortableConnection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # a connection is found by its own address
        server_header=False,
        timeout_graceful_shutdown=GRACE,
    )
    return StreamServer(hub, config)


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens there; port 0: a free one. Raises OSError."""
    family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    sock = socket.socket(family, kind, proto)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, WAITING)  # each connection inherits it
    sock.bind(address)
    sock.setblocking(False)
    return sock


def serve() -> None:
    """Run the stream process until SIGTERM or SIGINT."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))  # a file for each connection
    log.info("streams are served", host=settings.HOST, port=settings.SSE_PORT)
    make_server(Hub()).run([listening(settings.HOST, settings.SSE_PORT)])


def follower_of(ticket: Ticket, cursor: str | None) -> Follower:
    """Return the follower that a ticket lets in; a cursor that cannot be read is told to him."""
    place = read_cursor(cursor) if cursor else None
    return Follower(ticket, place, NOT_OURS if cursor and place is None else None)


def redirect_for_ticket(request: Request, ticket: Ticket, cursor: str | None) -> Response:
    """Send whoever's ticket has run out for another one."""
    where = ticket.again + (f"&cursor={quote(cursor)}" if cursor else "")
    return Response(None, 307, {"Location": where, "Cache-Control": "no-store", **cors(request, ticket)})


def full(request: Request, ticket: Ticket) -> Response:
    """Send whoever comes too late away."""
    told = f"{MOST:,} connections are served already. Ask again soon."
    wait = {"Retry-After": "5"}
    return answered(problem_response(503, told, kind="too-many-connections", headers=wait), cors(request, ticket))


def cors(request: Request, ticket: Ticket) -> dict[str, str]:
    """Return what lets a page read the answer: one of the API's own, or of those that may read the API.

    Led here from another origin than its own, a page's browser says `null`; then the API has looked at its origin.
    """
    origin = request.headers.get("origin")
    if origin is None:
        return {}
    if settings.CORS_ALLOW_ALL_ORIGINS:
        return {"Access-Control-Allow-Origin": "*"}
    known = origin == ticket.page or origin in settings.CORS_ALLOWED_ORIGINS or (origin == "null" and ticket.foreign)
    return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"} if known else {"Vary": "Origin"}


def preflight(request: Request) -> Response:
    """Answer a browser that asks whether it may send a key or a cursor as a header."""
    try:
        ticket, _ = read_ticket(request.query_params.get("ticket", ""))
    except BadTicket:
        return Response(None, 204, {"Allow": ", ".join(METHODS)})
    allowed = {
        "Access-Control-Allow-Methods": ", ".join(METHODS),
        "Access-Control-Allow-Headers": ", ".join(settings.CORS_ALLOW_HEADERS),
        "Access-Control-Max-Age": "600",
    }
    return Response(None, 204, {"Allow": ", ".join(METHODS), **cors(request, ticket), **allowed})


def answered(response: HttpResponse, more: Mapping[str, str] | None = None) -> Response:
    """Return the API's own form of an answer."""
    return Response(response.content, response.status_code, {**dict(response.items()), **(more or {})})


async def _alive(request: Request) -> Response:
    return PlainTextResponse("ok")


class _Nowhere:
    """All that is none of our addresses, whatever the method."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 404."""
        told = problem_response(404, f"There is nothing here but {STREAM_PATH}.", kind="not-found")
        await answered(told)(scope, receive, send)


async def _gone(receive: Receive) -> None:
    """Return when the reader has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
