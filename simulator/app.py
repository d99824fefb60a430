"""The ASGI application: one port for REST, streamer and control."""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate
from threading import Event, Thread

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from simulator.config import Config
from simulator.control import Control
from simulator.provider import Provider
from simulator.rest import Rest
from simulator.session import serve
from simulator.streamer import Streamer
from simulator.trades import SECOND_NS

DAY_NS = 86_400 * SECOND_NS


class Stamped:
    """Put the provider's name and its time (not the machine's) on every HTTP response."""

    def __init__(self, app: ASGIApp, provider: Provider) -> None:
        self._app, self._provider = app, provider

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and stamp its response."""

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Provider"] = f"{self._provider.identity}; simulated"
                headers["Date"] = formatdate(self._provider.now() // SECOND_NS, usegmt=True)
            await send(message)

        await self._app(scope, receive, stamped if scope["type"] == "http" else send)


def create_app(config: Config) -> Starlette:
    """Return the application; its state holds `provider` and `streamer`. Raise HomeInUse, OSError or ValueError."""
    provider = Provider(config)
    streamer = Streamer(provider)

    async def stream(web: WebSocket) -> None:
        await serve(web, streamer)

    app = Starlette(
        routes=[
            *Rest(provider).routes(),
            *Control(provider, streamer).routes(),
            WebSocketRoute("/v2", stream),
        ],
        middleware=[Middleware(Stamped, provider=provider)],
        lifespan=_lifespan,
    )
    app.state.provider, app.state.streamer = provider, streamer
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    turns = asyncio.create_task(app.state.streamer.run())
    turns.add_done_callback(_die_loudly)
    stop = Event()
    Thread(target=compute_days, args=(app.state.provider, stop), name="days ahead", daemon=True).start()
    try:
        yield
    finally:
        stop.set()
        turns.cancel()
        app.state.provider.close()


def compute_days(provider: Provider, stop: Event) -> None:
    """Compute the newest days of each market, as many as configured: each takes 24 hours' prices, and is kept."""
    today = provider.now() // DAY_NS
    for pair in provider.config.markets:
        for day in range(today - provider.config.days_ahead, today):
            if stop.is_set():
                return
            provider.sources[pair].day(day)


def _die_loudly(turns: asyncio.Task[None]) -> None:
    # A simulator that answers but sends no trades would look like a quiet market.
    if not turns.cancelled() and (failure := turns.exception()):
        traceback.print_exception(failure)
        os._exit(1)
