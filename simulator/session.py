"""The receiving side of the streamer: one WebSocket connection from its handshake to its end."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from simulator.frames import SOCKET_LIMITS, control_frame, error_frame
from simulator.pairs import Pair
from simulator.provider import Provider
from simulator.streamer import Socket, Streamer
from simulator.trades import SECOND_NS

PERIOD_SECONDS = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86_400, "MONTH": 2_592_000}
MAX_SUBS = 600
UNAUTHORIZED = error_frame(401, "UNAUTHORIZED", "format", "We only support JSON format with a valid api_key.")


class BadRequest(Exception):
    """The client's message cannot be handled."""

    def __init__(self, message: str, parameter: str, info: str, kind: int = 500) -> None:
        super().__init__(message)
        self.frame = error_frame(kind, message, parameter, info)


def key_of(query: str | None, header: str | None) -> str:
    """Return the API key of a request, `api_key=` first, then `Authorization: Apikey KEY`; empty if there is none."""
    scheme, _, given = (header or "").partition(" ")
    return query or (given.strip() if scheme.lower() == "apikey" else "")


async def serve(web: WebSocket, streamer: Streamer) -> None:
    """Serve one connection to /v2."""
    provider = streamer.provider
    if provider.now() < provider.faults.refusing_until:
        await web.send_denial_response(Response("Service Unavailable", 503))
        return
    await web.accept()
    key = key_of(web.query_params.get("api_key"), web.headers.get("authorization"))
    refusal = _refusal(streamer, key)
    if refusal:
        with suppress(WebSocketDisconnect):  # the client is already gone
            await web.send_text(refusal)
            await web.close(code=1008)
        return

    # Read requests and send frames until one side closes the connection.
    socket = streamer.open(web, key)
    tasks = [asyncio.create_task(_read(streamer, socket)), asyncio.create_task(streamer.write(socket))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        streamer.forget(socket)
        for task in tasks:
            task.cancel()
    for ending in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ending, BaseException) and not isinstance(ending, WebSocketDisconnect | asyncio.CancelledError):
            raise ending


def _refusal(streamer: Streamer, key: str) -> str | None:
    """Return why a connection is refused, None if it is accepted; every attempt counts."""
    if not streamer.provider.accepts(key):
        return UNAUTHORIZED

    # The new socket counts in its second, minute, hour … of simulator time, even if one of these is full.
    opened, second = streamer.opened[key], streamer.provider.now() // SECOND_NS
    for period, length in PERIOD_SECONDS.items():
        if opened[f"{period} is"] != second // length:
            opened[f"{period} is"], opened[period] = second // length, 0
        opened[period] += 1
    if not all(opened[period] <= most for period, most in SOCKET_LIMITS.items()):
        return error_frame(429, "RATE_LIMIT_OPENING_SOCKETS_TOO_FAST", "api_key", "You open sockets too fast.")

    if any(socket.key == key for socket in streamer.sockets.values()):
        return error_frame(429, "TOO_MANY_SOCKETS_MAX_1_PER_CLIENT", "api_key", "One socket at a time.")
    return None


async def _read(streamer: Streamer, socket: Socket) -> None:
    while True:
        message = await socket.web.receive()
        if message["type"] == "websocket.disconnect":
            return
        try:
            _handle(streamer, socket, message.get("text"))
        except BadRequest as exc:
            streamer.answer(socket, exc.frame)


def _handle(streamer: Streamer, socket: Socket, text: str | None) -> None:
    """Handle one request; raise BadRequest."""
    try:
        request = json.loads(text or "")
    except ValueError as exc:
        raise BadRequest("INVALID_JSON", "message", "We only accept JSON.") from exc
    if not isinstance(request, dict):
        raise BadRequest("INVALID_JSON", "message", "We only accept JSON objects.")
    action, subs = request.get("action"), request.get("subs")
    if action not in ("SubAdd", "SubRemove"):
        raise BadRequest("INVALID_PARAMETER", "action", "The action is SubAdd or SubRemove.")
    if not isinstance(subs, list) or not subs or not all(isinstance(sub, str) for sub in subs):
        raise BadRequest("INVALID_PARAMETER", "subs", "The subs are a list of texts like 0~Coinbase~BTC~USD.")
    if action == "SubAdd":
        _add(streamer, socket, subs)
    else:
        # Unsubscribe from each, then answer how many were and were not subscribed.
        removed = 0
        for sub in subs:
            try:
                pair = _pair(streamer.provider, sub)
                if pair not in socket.pairs:
                    raise BadRequest("SUBSCRIPTION_UNRECOGNIZED", sub, "You are not subscribed to it.")
                socket.pairs.remove(pair)
                line = f'"event":"unsubscribed","market":"{pair}"'
                streamer.answer(socket, control_frame(17, "UNSUBSCRIBECOMPLETE", SUB=sub), line)
                removed += 1
            except BadRequest as exc:
                streamer.answer(socket, exc.frame)
        counts = {"valid": removed, "invalid": len(subs) - removed}
        streamer.answer(
            socket, control_frame(18, "UNSUBSCRIBEALLCOMPLETE", INFO=f"Removed {removed} subs.", INFO_OBJ=counts)
        )


def _add(streamer: Streamer, socket: Socket, subs: list[str]) -> None:
    """Subscribe to each in turn; a bad one gets an error frame and does not stop the others."""
    for sub in subs:
        try:
            pair = _pair(streamer.provider, sub)
            if pair in socket.pairs:
                raise BadRequest("SUBSCRIPTION_ALREADY_ACTIVE", sub, "You are subscribed to it.")
            if len(socket.pairs) >= MAX_SUBS:
                message = f"TOO_MANY_SUBSCRIPTIONS_MAX_{MAX_SUBS}_PER_SOCKET"
                raise BadRequest(message, sub, "Remove some first.", 429)
            streamer.subscribe(socket, pair, sub)
        except BadRequest as exc:
            streamer.answer(socket, exc.frame)
    streamer.answer(socket, control_frame(3, "LOADCOMPLETE", INFO="All your valid subs have been loaded."))


def _pair(provider: Provider, sub: str) -> Pair:
    """Return the market of `0~Coinbase~BTC~USD`; raise BadRequest."""
    channel, *names = sub.split("~")
    if channel != "0" and channel.isdecimal():
        raise BadRequest("SUBSCRIPTION_UNRECOGNIZED", sub, "Only trades (0) are simulated.")
    source = provider.source(*names) if channel == "0" and len(names) == 3 else None
    if source is None or provider.now() < provider.faults.unlisted_until.get(str(source.pair), 0):
        raise BadRequest("INVALID_SUB", sub, "There is no such market.")
    return source.pair
