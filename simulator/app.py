"""The ASGI applications: one port for REST, streamer and control, and one for each venue."""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import AsyncIterator, Callable, Mapping
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
from simulator.venues.control import VenueControl
from simulator.venues.protocol import Served, serve_venue
from simulator.venues.table import VENUES

DAY_NS = 86_400 * SECOND_NS


class Stamped:
    """Put the provider's name and its time (not the machine's) on every HTTP response."""

    def __init__(self, app: ASGIApp, identity: str, now: Callable[[], int]) -> None:
        self._app, self._identity, self._now = app, identity, now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and stamp its response."""

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Provider"] = f"{self._identity}; simulated"
                headers["Date"] = formatdate(self._now() // SECOND_NS, usegmt=True)
            await send(message)

        await self._app(scope, receive, stamped if scope["type"] == "http" else send)


class ByPort:
    """Pass what comes in on a venue's port to the venue's application, and everything else to the main one."""

    def __init__(self, main: Starlette) -> None:
        self.main = main
        self.at: Mapping[int, ASGIApp] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        server = scope.get("server")
        await self.at.get(server[1] if server else 0, self.main)(scope, receive, send)

    def serve_venues(self, host: str, ports: Mapping[str, int]) -> None:
        """Serve each venue on its port."""
        served: dict[str, Served] = self.main.state.venues
        for name, port in ports.items():
            path = VENUES[name].stream_path.rstrip("/")
            served[name].venue.rest_url, served[name].venue.ws_url = (
                f"http://{host}:{port}",
                f"ws://{host}:{port}{path}",
            )
        self.at = {port: served[name].app for name, port in ports.items()}


def create_app(config: Config) -> Starlette:
    """Return the application; its state holds provider, streamer and venues. Raise HomeInUse, OSError or ValueError."""
    provider = Provider(config)
    streamer = Streamer(provider)
    venues = {name: serve_venue(VENUES[name], provider, config.limited) for name in config.venues}
    for served in venues.values():
        served.app.add_middleware(Stamped, identity=provider.identity, now=served.venue.shown)

    async def stream(web: WebSocket) -> None:
        await serve(web, streamer)

    app = Starlette(
        routes=[
            *Rest(provider).routes(),
            *Control(provider, streamer).routes(),
            *VenueControl(provider, venues).routes(),
            WebSocketRoute("/v2", stream),
        ],
        middleware=[Middleware(Stamped, identity=provider.identity, now=provider.now)],
        lifespan=_lifespan,
    )
    app.state.provider, app.state.streamer, app.state.venues = provider, streamer, venues
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    feeds = [app.state.streamer, *(served.feed for served in app.state.venues.values())]
    turns = [asyncio.create_task(feed.run()) for feed in feeds]
    for each in turns:
        each.add_done_callback(_die_loudly)
    stop = Event()
    Thread(target=compute_days, args=(app.state.provider, stop), name="days ahead", daemon=True).start()
    try:
        yield
    finally:
        stop.set()
        for each in turns:
            each.cancel()
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
