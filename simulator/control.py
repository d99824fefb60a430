"""The control endpoints: faults on demand, and the simulator's own state. Not part of the provider's API."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Literal, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.faults import PeriodName, ReplayCount, RestFault, StampFault, WindowName
from simulator.malformed import MalformedKind
from simulator.pairs import Pair
from simulator.provider import Provider
from simulator.session import UNAUTHORIZED
from simulator.streamer import GarbageKind, Streamer, garbage
from simulator.trades import SECOND_NS

T = TypeVar("T")
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]


class Duration(msgspec.Struct, forbid_unknown_fields=True):
    """How long a fault lasts, in seconds of the simulator's time."""

    seconds: Seconds


class Drop(msgspec.Struct, forbid_unknown_fields=True):
    """Drop all sockets and refuse new ones; `replay` changes what later subscriptions start with."""

    seconds: Seconds = 0
    replay: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] | Literal["bridge"] | None = None


class Silent(msgspec.Struct, forbid_unknown_fields=True):
    """Send nothing to the sockets that are open now, or (scope all) to new ones as well."""

    seconds: Seconds
    scope: Literal["open", "all"] = "open"


class RestError(msgspec.Struct, forbid_unknown_fields=True):
    """Answer REST calls with an HTTP error, all of them or only candles of one period."""

    seconds: Seconds
    status: Annotated[int, msgspec.Meta(ge=500, le=599)] = 503
    period: PeriodName | None = None


class Malformed(msgspec.Struct, forbid_unknown_fields=True):
    """Answer REST calls with malformed candles, of every period and market or of one."""

    seconds: Seconds
    kind: MalformedKind
    period: PeriodName | None = None
    market: str | None = None


class RateLimit(msgspec.Struct, forbid_unknown_fields=True):
    """Answer REST calls with Type 99; `window` is said to be used up."""

    seconds: Seconds
    window: WindowName | None = None


class Garbage(msgspec.Struct, forbid_unknown_fields=True):
    """Send one malformed frame."""

    kind: GarbageKind = "text"
    market: str | None = None


class Bridge(msgspec.Struct, forbid_unknown_fields=True):
    """Start later subscriptions with so many trades, or with all that no socket was sent plus 20."""

    replay: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] | Literal["bridge"]


class Unlist(msgspec.Struct, forbid_unknown_fields=True):
    """Refuse new subscriptions of one market, as if the provider did not have it."""

    market: str
    seconds: Seconds


class SameIds(msgspec.Struct, forbid_unknown_fields=True):
    """Send every trade of one market with the id "0"."""

    market: str
    seconds: Seconds


class Lose(msgspec.Struct, forbid_unknown_fields=True):
    """Send the next `count` trades of one market to no socket, while everything else goes on."""

    market: str
    count: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 1


class Stamps(msgspec.Struct, forbid_unknown_fields=True):
    """Send heartbeats whose stamps are `offset` seconds off."""

    seconds: Seconds
    offset: Annotated[float, msgspec.Meta(ge=-86_400, le=86_400)]


class NoFields(msgspec.Struct):
    """A request without fields."""


class Control:
    """The control endpoints of one provider and its streamer."""

    def __init__(self, provider: Provider, streamer: Streamer) -> None:
        self._provider, self._streamer, self._faults = provider, streamer, provider.faults

    def routes(self) -> list[Route]:
        """Return the endpoints."""
        return [
            Route("/control/clock", self._clock, methods=["GET"]),
            Route("/control/stats", self._stats, methods=["GET"]),
            self._post("drop", Drop, self._drop),
            self._post("silent", Silent, self._silent),
            self._post("unauthorized", Duration, self._unauthorized),
            self._post("error", RestError, self._error),
            self._post("spoil", Malformed, self._spoil),
            self._post("ratelimit", RateLimit, self._rate_limit),
            self._post("garbage", Garbage, self._garbage),
            self._post("bridge", Bridge, self._bridge),
            self._post("unlist", Unlist, self._unlist),
            self._post("ids", SameIds, self._same_ids),
            self._post("lose", Lose, self._lose),
            self._post("stamps", Stamps, self._stamps),
            self._post("reset", NoFields, self._reset),
        ]

    def _post(self, name: str, shape: type[T], apply: Callable[[T], dict[str, object]]) -> Route:
        """Return an endpoint that reads its JSON body and refuses a bad one with 400."""

        async def endpoint(request: Request) -> Response:
            try:
                fault = msgspec.json.decode(await request.body() or b"{}", type=shape)
                answer = apply(fault)
            except (msgspec.DecodeError, ValueError) as exc:
                return _json({"error": str(exc)}, 400)
            self._provider.log.note("fault", fault=name, at=self._provider.now(), **msgspec.to_builtins(fault))
            return _json({"fault": name, "now_ns": self._provider.now(), **answer})

        return Route(f"/control/{name}", endpoint, methods=["POST"])

    def _until(self, seconds: float) -> int:
        return self._provider.now() + int(seconds * SECOND_NS)

    def _drop(self, fault: Drop) -> dict[str, object]:
        self._faults.refusing_until = self._until(fault.seconds)
        if fault.replay is not None:
            self._faults.replay = fault.replay
        return {"dropped": self._streamer.disconnect_all(), "replay": self._faults.replay}

    def _silent(self, fault: Silent) -> dict[str, object]:
        until = self._until(fault.seconds)
        for socket in self._streamer.sockets.values():
            socket.silent_until = until
        if fault.scope == "all":
            self._faults.silent_until = until
        return {"silent": len(self._streamer.sockets)}

    def _unauthorized(self, fault: Duration) -> dict[str, object]:
        self._faults.unauthorized_until = self._until(fault.seconds)
        return {"dropped": self._streamer.disconnect_all(UNAUTHORIZED)}

    def _error(self, fault: RestError) -> dict[str, object]:
        self._faults.error = RestFault(self._until(fault.seconds), fault.period, status=fault.status)
        return {"status": fault.status}

    def _spoil(self, fault: Malformed) -> dict[str, object]:
        market = str(Pair.parse(fault.market)) if fault.market else None
        self._faults.malformed = RestFault(self._until(fault.seconds), fault.period, kind=fault.kind, market=market)
        return {"kind": fault.kind}

    def _rate_limit(self, fault: RateLimit) -> dict[str, object]:
        self._faults.used_up = fault.window
        self._faults.rate_limited_until = self._until(fault.seconds)
        return {}

    def _garbage(self, fault: Garbage) -> dict[str, object]:
        pair = Pair.parse(fault.market) if fault.market else next(iter(self._provider.sources))
        text = garbage(fault.kind, pair, self._provider.now())
        for socket in self._streamer.sockets.values():
            self._streamer.answer(socket, text, f'"event":"garbage","kind":"{fault.kind}","market":"{pair}"')
        return {"sent": len(self._streamer.sockets), "frame": text}

    def _bridge(self, fault: Bridge) -> dict[str, object]:
        self._faults.replay = fault.replay
        return {"replay": fault.replay}

    def _unlist(self, fault: Unlist) -> dict[str, object]:
        self._faults.unlisted_until[str(Pair.parse(fault.market))] = self._until(fault.seconds)
        return {}

    def _same_ids(self, fault: SameIds) -> dict[str, object]:
        times = self._faults.same_ids.setdefault(str(Pair.parse(fault.market)), [])
        times.append((self._provider.now(), self._until(fault.seconds)))
        return {}

    def _lose(self, fault: Lose) -> dict[str, object]:
        self._faults.lose[str(Pair.parse(fault.market))] = fault.count
        return {}

    def _stamps(self, fault: Stamps) -> dict[str, object]:
        self._faults.stamps = StampFault(self._until(fault.seconds), int(fault.offset * SECOND_NS))
        return {}

    def _reset(self, fault: NoFields) -> dict[str, object]:
        self._faults.clear(self._provider.now())
        for socket in self._streamer.sockets.values():
            socket.silent_until = 0
        return {}

    async def _clock(self, request: Request) -> Response:
        """Answer with the simulator's time."""
        now, speed = self._provider.now(), self._provider.config.speed
        return _json({"now_ns": now, "speed": speed, "provider": self._provider.identity})

    async def _stats(self, request: Request) -> Response:
        """Answer with what was requested and sent since the start."""
        replay: ReplayCount = self._faults.replay
        sockets = [
            {"socket": socket.number, "markets": sorted(map(str, socket.pairs)), "waiting": len(socket.waiting)}
            for socket in self._streamer.sockets.values()
        ]
        return _json(
            {
                "now_ns": self._provider.now(),
                "provider": self._provider.identity,
                "rest_calls": dict(self._provider.calls),
                "trades_sent": dict(self._provider.sent),
                "replay": replay,
                "sockets": sockets,
            }
        )


def _json(content: dict[str, object], status: int = 200) -> Response:
    return Response(json.dumps(content), status, media_type="application/json")
