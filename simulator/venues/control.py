"""The control endpoints of the venues: their addresses and counts, faults on demand, and the truth to compare with.

`GET /control/venues`, `GET /control/trades`, and `POST /control/venues/<name>/<fault>`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.numerals import plain
from simulator.pairs import Pair
from simulator.provider import Provider
from simulator.trades import SECOND_NS
from simulator.venues.fault_requests import (
    Counted,
    Cut,
    Garbage,
    Keep,
    Lifetime,
    Muddle,
    Omit,
    Refuse,
    Reset,
    Shift,
    Silence,
    Skew,
    Statement,
    Timed,
    Trouble,
)
from simulator.venues.faults import ALL, Disorder, Faults, Omission, RestTrouble, Statements
from simulator.venues.protocol import Served

T = TypeVar("T")
MAX_TRADES = 1_000_000


GARBAGE = {
    "text": "<html>502 Bad Gateway</html>",
    "array": "[1,2,3]",
    "type": '{"type":"news","e":"news","method":"x"}',
}


class VenueControl:
    """The control endpoints of all venues that are served."""

    def __init__(self, provider: Provider, served: Mapping[str, Served]) -> None:
        self._provider, self._served = provider, served

    def routes(self) -> list[Route]:
        """Return the endpoints."""
        return [
            Route("/control/venues", self._report, methods=["GET"]),
            Route("/control/trades", self._trades, methods=["GET"]),
            self._post("cut", Cut, self._cut),
            self._post("silent", Silence, self._silent),
            self._post("lose", Counted, lambda at, fault: self._counted(at, at.venue.faults.lose, fault)),
            self._post("repeat", Counted, lambda at, fault: self._counted(at, at.venue.faults.repeat, fault)),
            self._post("reorder", Counted, lambda at, fault: self._counted(at, at.venue.faults.reorder, fault)),
            self._post("omit", Omit, self._omit),
            self._post("disorder", Muddle, self._disorder),
            self._post("statements", Statement, self._statements),
            self._post("refuse", Refuse, self._refuse),
            self._post("trouble", Trouble, self._trouble),
            self._post("maintenance", Timed, self._maintenance),
            self._post("shift", Shift, self._shift),
            self._post("skew", Skew, self._skew),
            self._post("keep", Keep, self._keep),
            self._post("lifetime", Lifetime, self._lifetime),
            self._post("garbage", Garbage, self._garbage),
            self._post("reset", Reset, self._reset),
        ]

    def _post(self, name: str, shape: type[T], apply: Callable[[Served, T], dict[str, object]]) -> Route:
        """Return an endpoint that reads its JSON body and refuses a bad one with 400, an unknown venue with 404."""

        async def endpoint(request: Request) -> Response:
            served = self._served.get(request.path_params["venue"])
            if served is None:
                return _json({"error": f"the venues served are {', '.join(self._served) or 'none'}"}, 404)
            try:
                fault = msgspec.json.decode(await request.body() or b"{}", type=shape)
                answer = apply(served, fault)
            except (msgspec.DecodeError, ValueError) as exc:
                return _json({"error": str(exc)}, 400)
            served.feed.note("fault", fault=name, at=self._provider.now(), **msgspec.to_builtins(fault))
            return _json({"fault": name, "now_ns": self._provider.now(), **answer})

        return Route(f"/control/venues/{{venue}}/{name}", endpoint, methods=["POST"])

    def _until(self, seconds: float) -> int:
        return self._provider.now() + int(seconds * SECOND_NS)

    def _cut(self, at: Served, fault: Cut) -> dict[str, object]:
        if fault.notice is not None and at.feed.notice_s is None:
            raise ValueError(f"{at.venue.name} announces no cut")
        at.feed.turn()
        until = self._until(fault.seconds)
        cut = at.feed.disconnect_all(fault.notice)
        if fault.notice is None:
            at.venue.faults.refusing_until = until
        return {"cut": cut}

    def _silent(self, at: Served, fault: Silence) -> dict[str, object]:
        until = self._until(fault.seconds)
        for socket in at.feed.sockets.values():
            socket.silent_until = until
        if fault.scope == "all":
            at.venue.faults.silent_until = until
        return {"silent": len(at.feed.sockets)}

    def _counted(self, at: Served, counts: dict[str, int], fault: Counted) -> dict[str, object]:
        counts[_market(at, fault.market)] = fault.count
        return {}

    def _omit(self, at: Served, fault: Omit) -> dict[str, object]:
        omission = Omission(self._until(fault.seconds), fault.share, fault.splits)
        at.venue.faults.omissions[_market(at, fault.market)] = omission
        return {}

    def _disorder(self, at: Served, fault: Muddle) -> dict[str, object]:
        at.venue.faults.disorders[_market(at, fault.market)] = Disorder(self._until(fault.seconds), fault.share)
        return {}

    def _statements(self, at: Served, fault: Statement) -> dict[str, object]:
        at.venue.faults.statements = Statements(self._until(fault.seconds), fault.kind, fault.by)
        return {}

    def _refuse(self, at: Served, fault: Refuse) -> dict[str, object]:
        at.venue.faults.refused[_market(at, fault.market)] = self._until(fault.seconds)
        return {}

    def _trouble(self, at: Served, fault: Trouble) -> dict[str, object]:
        until = self._until(fault.seconds)
        at.venue.faults.trouble = RestTrouble(until, fault.kind, fault.retry_after, fault.sockets)
        return {}

    def _maintenance(self, at: Served, fault: Timed) -> dict[str, object]:
        at.feed.turn()
        at.venue.faults.maintenance_until = self._until(fault.seconds)
        return {}

    def _shift(self, at: Served, fault: Shift) -> dict[str, object]:
        at.venue.faults.shift = self._until(fault.seconds), fault.by
        return {}

    def _skew(self, at: Served, fault: Skew) -> dict[str, object]:
        at.venue.faults.skew = self._until(fault.seconds), int(fault.offset * SECOND_NS)
        return {}

    def _keep(self, at: Served, fault: Keep) -> dict[str, object]:
        market = _market(at, fault.market)
        at.venue.faults.kept.pop(market, None)
        if fault.count is not None:
            at.venue.faults.kept[market] = fault.count
        return {}

    def _lifetime(self, at: Served, fault: Lifetime) -> dict[str, object]:
        at.venue.faults.lifetime_ns = None if fault.seconds is None else int(fault.seconds * SECOND_NS)
        return {}

    def _garbage(self, at: Served, fault: Garbage) -> dict[str, object]:
        for socket in at.feed.sockets.values():
            at.feed.say(socket, GARBAGE[fault.kind], f'"event":"garbage","venue":"{at.venue.name}"')
        return {"sent": len(at.feed.sockets), "frame": GARBAGE[fault.kind]}

    def _reset(self, at: Served, fault: Reset) -> dict[str, object]:
        at.venue.faults = Faults(held=at.venue.faults.held)  # those that wait for others are sent
        for socket in at.feed.sockets.values():
            socket.silent_until = 0
        return {}

    async def _report(self, request: Request) -> Response:
        """Answer with each venue's addresses, and what was asked and sent since the start."""
        return _json({name: _report(served) for name, served in self._served.items()})

    async def _trades(self, request: Request) -> Response:
        """Answer with a market's trades of [from, to) in ns as its venue has them."""
        asked = request.query_params
        try:
            pair = Pair.parse(asked.get("market", ""))
            start, stop = int(asked["from"]), min(int(asked["to"]), self._provider.now() + 1)
            served = self._served[pair.exchange]
            market = next(market for market in served.venue.markets.values() if market.pair == pair)
        except (KeyError, ValueError, StopIteration) as exc:
            return _json({"error": f"market (of a venue that is served), from and to in ns: {exc!r}"}, 400)
        ledger, source = market.ledger, market.source
        first, last = ledger.count(start - 1), ledger.count(stop - 1)
        if last - first > MAX_TRADES:
            return _json({"error": f"more than {MAX_TRADES} trades"}, 400)
        # Its id, the first and last of the trades in it, its time in ns, price, amount, the taker's side.
        rows = [
            [row.id, row.first, row.last, row.ts, plain(row.price, source.price_places),
             plain(row.amount, source.amount_places), "sell" if row.sell else "buy"]
            for row in (ledger.rows(first, last) if last > first else ())
        ]  # fmt: skip
        return _json({"market": str(pair), "trades": rows})


def _market(at: Served, text: str) -> str:
    """Return a market's name as faults have it; raise ValueError if the venue does not serve it."""
    names = [str(market.pair) for market in at.venue.markets.values()]
    if text != ALL and text not in names:
        raise ValueError(f"{at.venue.name} serves {', '.join(names) or 'no market'}, not {text}")
    return text


def _report(served: Served) -> dict[str, Any]:
    venue, feed = served.venue, served.feed
    sockets = [
        {"socket": socket.number, "subscriptions": [f"{channel}:{market}" for channel, market in socket.subscriptions],
         "waiting": len(socket.waiting)}
        for socket in feed.sockets.values()
    ]  # fmt: skip
    return {
        "rest_url": venue.rest_url,
        "ws_url": venue.ws_url,
        "markets": {str(market.pair): market.name for market in venue.markets.values()},
        "limited": venue.limited,
        "limits": [*(limit.report() for limit in venue.limits.values()), feed.messages_report()],
        "rest_calls": dict(venue.calls),
        "trades_sent": dict(venue.sent),
        "sockets": sockets,
    }


def _json(content: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(content), status, media_type="application/json")
