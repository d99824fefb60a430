"""The stream process: Server-Sent Events for readers with a ticket from the API.

`GET /stream/candles?ticket=…` answers `text/event-stream`. Its events (data is JSON; docs/api.md, "Streaming"):

| event | data |
|---|---|
| snapshot | as GET candles, with `reason`: why it is sent, null for a reader without a cursor |
| candle | a row of GET candles: time, open, high, low, close, …; if its trades are 0, the candle is gone |
| gap | from, to, state, proof, reason, code, repair: a span that is or was a gap, as the certificate shows it now |
| watermark | watermark, version: every closed candle before it was sent |

`GET /stream/tickers?ticket=…` has one event, `tickers`: a list of tickers as in GET tickers, first of all followed
markets, then of those that changed; of a market that is not followed any more, `market` and `followed` alone.

`id:` is the cursor to continue from. After a lost connection a reader asks the API again, or comes back here with the
same ticket and Last-Event-ID (access/stream_tickets.py); an expired ticket is redirected to the API. SIGTERM ends all
streams, and their readers reconnect.
"""

from __future__ import annotations

import asyncio
import random
import resource
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from time import monotonic
from types import FrameType
from urllib.parse import quote

import structlog
from django.conf import settings
from django.http import HttpResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from uvicorn import Config, Server

from actor_runtime.collection import leave_out_what_is_loaded
from datastore.access.stream_tickets import STREAM_PATH, TICKERS_PATH, BadTicket, Ticket, TicketAge, read_ticket
from datastore.api.responses.problem import problem_response
from datastore.sse.binance.endpoint import BinanceEndpoint
from datastore.sse.binance.names import STREAM_PATH as WS_STREAM_PATH
from datastore.sse.binance.names import WS_PATH
from datastore.sse.connections import AbortableConnection, AbortableSocket
from datastore.sse.cursor import UNREADABLE_CURSOR, read_cursor
from datastore.sse.follower import SeriesFollower, TickerFollower
from datastore.sse.hub import Hub
from datastore.sse.messages import greeting

METHODS = ("GET", "HEAD", "OPTIONS")
MAX_CONNECTIONS = 10_000
RETRY_RANGE_MS = (1_000, 3_000)  # spread, so that readers do not all reconnect at once
SEND_BUFFER_BYTES = 64 * 1024  # what the kernel holds for one reader: it can no longer be merged with newer states
MAX_OPEN_FILES = 65_536
MAX_COMMAND_BYTES = 64 * 1024  # of one message of a client
SHUTDOWN_TIMEOUT_S = 3
STREAM_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # nginx would hold events back
}
log = structlog.get_logger(__name__)


class StreamEndpoint:
    """GET /stream/candles."""

    def __init__(self, hub: Hub) -> None:
        """Serve the hub's channels."""
        self._hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, for as long as its stream lasts."""
        request = Request(scope)
        if request.method not in METHODS:
            refusal = problem_response(405, "Streams can only be read.", headers={"Allow": ", ".join(METHODS)})
            await starlette_response(refusal)(scope, receive, send)
            return
        if request.method == "OPTIONS":
            await preflight(request)(scope, receive, send)
            return

        await self._hub.measure_time()
        try:
            ticket, age = read_ticket(request.query_params.get("ticket", ""))
        except BadTicket as exc:
            detail = f"The ticket is not valid: {exc}. GET /api/v1/candles/stream redirects here with a valid one."
            await starlette_response(problem_response(403, detail, kind="bad-ticket"))(scope, receive, send)
            return

        last = request.headers.get("last-event-id")
        cursor = last or ticket.cursor
        accepted = age is TicketAge.FRESH or (
            age is TicketAge.STALE and last and await self._hub.may_still_read(ticket)
        )
        if not accepted:
            await redirect_for_ticket(request, ticket, cursor)(scope, receive, send)
        elif len(self._hub) >= MAX_CONNECTIONS:
            await too_many_connections(request, ticket)(scope, receive, send)
        else:
            await self._stream(request, ticket, cursor, receive, send)

    async def _stream(self, request: Request, ticket: Ticket, cursor: str | None, receive: Receive, send: Send) -> None:
        headers = {**STREAM_HEADERS, **cors_headers(request, ticket)}
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": raw})

        if request.method != "HEAD":
            place = read_cursor(cursor) if cursor else None
            refusal = UNREADABLE_CURSOR if cursor and place is None else None
            follower = TickerFollower(ticket) if ticket.market is None else SeriesFollower(ticket, place, refusal)
            disconnect = asyncio.create_task(_wait_for_disconnect(receive))
            disconnect.add_done_callback(lambda _: follower.close())
            self._hub.join(follower, partial(AbortableConnection.cut, request.scope["client"]))
            text: bytes | None = greeting(random.randint(*RETRY_RANGE_MS))
            try:
                while text is not None:
                    follower.sending_since = monotonic()
                    await send({"type": "http.response.body", "body": text, "more_body": True})
                    follower.sending_since, follower.sent_at = None, monotonic()
                    self._hub.sent += text.count(b"\n\n")
                    text = await follower.next()
            finally:
                self._hub.leave(follower)
                disconnect.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class StreamServer(Server):
    """uvicorn with the hub; on shutdown the streams end first, because uvicorn waits for every connection."""

    def __init__(self, hub: Hub, config: Config) -> None:
        """Serve this hub."""
        super().__init__(config)
        self.hub = hub
        self._wake: Callable[[], object] = lambda: None  # ends the wait of the main loop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the hub and listen."""
        self.hub.start()
        await super().startup(sockets)

    async def main_loop(self) -> None:
        """Wait for the end, and keep the time of the header Date; uvicorn itself looks ten times a second."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        self._wake = partial(loop.call_soon_threadsafe, ended.set)
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), 1.0)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handle SIGTERM and SIGINT."""
        super().handle_exit(sig, frame)
        self._wake()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End all streams, then the server."""
        await self.hub.close()
        await super().shutdown(sockets)


class NotFound:
    """Every other address, whatever the method."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 404."""
        served = (
            f"Only {STREAM_PATH} and {TICKERS_PATH} are served here, and WebSockets at {WS_PATH} and {WS_STREAM_PATH}."
        )
        answer = problem_response(404, served, kind="not-found")
        await starlette_response(answer)(scope, receive, send)


async def health_live(request: Request) -> Response:
    """Answer that the process is alive."""
    return PlainTextResponse("ok")


def application(hub: Hub) -> Starlette:
    """Return the ASGI application."""
    binance = BinanceEndpoint(hub, AbortableConnection.cut, MAX_CONNECTIONS)
    return Starlette(
        routes=[
            Route(STREAM_PATH, StreamEndpoint(hub)),
            Route(TICKERS_PATH, StreamEndpoint(hub)),
            *(WebSocketRoute(path, binance.serve) for path in (WS_PATH, f"{WS_PATH}/{{streams:path}}", WS_STREAM_PATH)),
            Route("/health/live", health_live),
            Route("/{rest:path}", NotFound()),
        ]
    )


def make_server(hub: Hub) -> StreamServer:
    """Return the server; run it with a socket from listening_socket()."""
    config = Config(
        application(hub),
        http=AbortableConnection,
        ws=AbortableSocket,
        ws_max_size=MAX_COMMAND_BYTES,
        ws_per_message_deflate=False,  # it would cost more than it saves of events this small
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # a connection is found by its own address
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
    )
    return StreamServer(hub, config)


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens there (port 0: a free port); raise OSError."""
    family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    sock = socket.socket(family, kind, proto)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)  # each connection inherits it
    sock.bind(address)
    sock.setblocking(False)
    return sock


def serve() -> None:
    """Run the stream process until SIGTERM or SIGINT."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(MAX_OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))  # each connection takes one
    leave_out_what_is_loaded()
    log.info("streams are served", host=settings.HOST, port=settings.SSE_PORT)
    make_server(Hub()).run([listening_socket(settings.HOST, settings.SSE_PORT)])


def redirect_for_ticket(request: Request, ticket: Ticket, cursor: str | None) -> Response:
    """Redirect a reader with an expired ticket to the API, which gives it a new one."""
    where = ticket.again + (f"&cursor={quote(cursor)}" if cursor and ticket.market is not None else "")
    return Response(None, 307, {"Location": where, "Cache-Control": "no-store", **cors_headers(request, ticket)})


def too_many_connections(request: Request, ticket: Ticket) -> Response:
    """Answer 503: as many readers are connected as this process serves."""
    detail = f"{MAX_CONNECTIONS:,} connections are open already. Try again soon."
    answer = problem_response(503, detail, kind="too-many-connections", headers={"Retry-After": "5"})
    return starlette_response(answer, cors_headers(request, ticket))


def cors_headers(request: Request, ticket: Ticket) -> dict[str, str]:
    """Return the headers that let a page read the answer: one of the API's own, or one that may read the API.

    A browser that was redirected here from another origin sends the origin `null`; the API has checked its real origin
    before (ticket.foreign).
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
    return Response(None, 204, {"Allow": ", ".join(METHODS), **cors_headers(request, ticket), **allowed})


def starlette_response(response: HttpResponse, more: Mapping[str, str] | None = None) -> Response:
    """Return a Django response as a Starlette one, with more headers."""
    return Response(response.content, response.status_code, {**dict(response.items()), **(more or {})})


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
