"""One WebSocket connection to a venue, from its handshake to its end."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from simulator.venues.feed import Feed, Socket
from simulator.venues.rest import VenueRest


async def serve(web: WebSocket, feed: Feed, rest: VenueRest) -> None:
    """Serve one connection."""
    venue = feed.venue
    is_within, refusal = venue.take("connections"), None
    trouble = venue.faults.trouble
    if trouble.sockets and venue.now() < trouble.until:
        refusal = rest.trouble(trouble).response()
    elif venue.now() < venue.faults.refusing_until:
        refusal = Response("Service Unavailable", 503)
    elif not is_within:
        refusal = Response("Too Many Requests", 429)
    if refusal is not None:
        await web.send_denial_response(refusal)
        return
    await web.accept()
    socket = feed.open(web)
    tasks = [asyncio.create_task(_read(feed, socket)), asyncio.create_task(feed.write(socket))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        feed.forget(socket)
        for task in tasks:
            task.cancel()
    for ending in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ending, BaseException) and not isinstance(ending, WebSocketDisconnect | asyncio.CancelledError):
            raise ending


async def _read(feed: Feed, socket: Socket) -> None:
    while True:
        message = await socket.web.receive()
        if message["type"] == "websocket.disconnect":
            return
        if not socket.messages.take(feed.venue.wall()) and feed.venue.limited:
            feed.too_many_messages(socket)
            continue
        with suppress(UnicodeDecodeError):
            feed.receive(socket, message.get("text") or (message.get("bytes") or b"").decode())
