"""The provider's REST API in its envelopes: candles, pairs and the client's own rate.

Handlers are plain functions, which Starlette runs in threads: years of days take a while and must not delay the feed.
One history at a time is computed: the more threads compute, the longer the feed waits for its turn between them.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from threading import Lock
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.history import PERIODS, History, Period
from simulator.malformed import malformed_answer
from simulator.provider import Provider
from simulator.session import PERIOD_SECONDS, key_of
from simulator.trades import SECOND_NS, Source

MAX_ROWS = 2000
MAX_CALLS = {"second": 20, "minute": 300, "hour": 3000, "day": 10_000, "month": 75_000}
NO_KEY = "API key required, please refer to the documentation at https://developers.coindesk.com/"
OVER_LIMIT = "You are over your rate limit please upgrade your account!"


class Refused(Exception):
    """The request is answered with the legacy error envelope, which has HTTP status 200."""

    def __init__(self, message: str, kind: int = 2, parameter: str | None = None) -> None:
        super().__init__(message)
        self.kind, self.parameter = kind, parameter


class Rest:
    """The REST endpoints of one provider."""

    def __init__(self, provider: Provider) -> None:
        """Count calls from now on."""
        self._provider = provider
        self._computing = Lock()
        self._made: dict[str, Counter[str]] = defaultdict(Counter)

    def routes(self) -> list[Route]:
        """Return the endpoints."""
        candles = [
            Route(f"/data/{version}histo{name}", self._endpoint(self._histo(period, bool(version))))
            for name, period in PERIODS.items()
            for version in ("", "v2/")
        ]
        return [
            *candles,
            Route("/data/v3/all/exchanges", self._endpoint(self._exchanges)),
            Route("/stats/rate/limit", self._endpoint(self._rate)),
        ]

    def _endpoint(self, answer: Callable[[Request], str]) -> Callable[[Request], Response]:
        """Add what every path shares: faults, keys, counts, error envelope, log."""

        def endpoint(request: Request) -> Response:
            self._provider.calls[request.url.path] += 1
            trouble = self._trouble(request)
            query = {name: value for name, value in request.query_params.items() if name != "api_key"}
            status = trouble.status_code if trouble else 200
            now = self._provider.now()
            self._provider.log.note("asked", path=request.url.path, query=query, status=status, at=now)
            if trouble is not None:
                return trouble
            try:
                return _json(answer(request))
            except Refused as exc:
                return _json(_error(exc))

        return endpoint

    def _trouble(self, request: Request) -> Response | None:
        """Return the answer of a fault or a bad key, None if there is neither; count the call of a good key."""
        faults, now = self._provider.faults, self._provider.now()
        if faults.error.applies(now, request.url.path):
            return Response("<html>upstream error</html>", faults.error.status, media_type="text/html")
        key = key_of(request.query_params.get("api_key"), request.headers.get("authorization"))
        if not self._provider.accepts(key):
            error = {"type": 2, "message": NO_KEY, "http_status_code": 401}
            return _json(json.dumps({"Data": {}, "Err": error}), 401)
        counts, second = self._made[key], now // SECOND_NS
        counts["total_calls"] += 1
        for period, length in PERIOD_SECONDS.items():
            if counts[f"{period} is"] != second // length:
                counts[f"{period} is"], counts[period.lower()] = second // length, 0
            counts[period.lower()] += 1
        if now < faults.rate_limited_until:
            made = self._calls(key)
            if window := faults.used_up:
                made[window] = max(made[window], MAX_CALLS[window])
            rate = {"calls_made": made, "max_calls": MAX_CALLS}
            return _json(_error(Refused(OVER_LIMIT, 99), rate))
        return None

    def _calls(self, key: str) -> dict[str, int]:
        return {period: self._made[key][period] for period in (*MAX_CALLS, "total_calls")}

    def _histo(self, period: Period, newer: bool) -> Callable[[Request], str]:
        """Return the handler of a candle path, in the envelope of v2 or the older one."""

        def answer(request: Request) -> str:
            asked = request.query_params
            source = self._market(asked)
            rows_before = _whole(asked, "limit", period.default_limit)
            if rows_before > MAX_ROWS:
                raise Refused("limit is larger than max value.", 1, "limit")
            now = self._provider.now() // SECOND_NS
            last = min(_whole(asked, "toTs", now), now) // period.seconds * period.seconds
            days = self._provider.config.retention_days
            if period.seconds == 60 and last < now - days * 86_400:
                raise Refused(f"Minute data is only available for the last {days} days.", 1, "toTs")
            cut = now // period.cache_age * period.cache_age * SECOND_NS
            with self._computing:
                rows = History(source, cut).rows(period, last, max(1, rows_before) + 1)
            envelope = _envelope(rows, last - (len(rows) - 1) * period.seconds, last, newer)
            spoiled = self._provider.faults.malformed
            is_spoiled = spoiled.applies(now * SECOND_NS, request.url.path, str(source.pair))
            is_sent = self._provider.sent_minutes[source.pair].__contains__
            return malformed_answer(spoiled.kind, envelope, is_sent) if is_spoiled else envelope

        return answer

    def _market(self, asked: Any) -> Source:
        """Return the market of a request; raise Refused with the provider's message."""
        for name in ("fsym", "tsym"):
            if not asked.get(name):
                raise Refused(f"{name} is a required param.", 1, name)
        if asked.get("aggregate", "1") != "1":
            raise Refused("aggregate is not simulated.", 1, "aggregate")
        base, quote, exchange = asked["fsym"], asked["tsym"], asked.get("e", "CCCAGG")
        source = self._provider.source(exchange, base, quote)
        if source is not None:
            return source
        pairs = self._provider.sources
        if base not in {pair.base for pair in pairs}:
            raise Refused(f"There is no data for the symbol {base} .", parameter="fsym")
        if quote not in {pair.quote for pair in pairs}:
            raise Refused(f"There is no data for the toSymbol {quote} .", parameter="tsym")
        raise Refused(f"{exchange} market does not exist for this coin pair ({base}-{quote})", parameter="e")

    def _exchanges(self, request: Request) -> str:
        """Answer with exchanges and their pairs; `e` names one."""
        wanted = request.query_params.get("e", "").lower()
        found: dict[str, Any] = {}
        for pair in self._provider.sources:
            if wanted in ("", pair.exchange):
                entry = found.setdefault(pair.venue.name, {"pairs": {}, "isActive": True, "isTopTier": True})
                entry["pairs"].setdefault(pair.base, []).append(pair.quote)
        return _success(found)

    def _rate(self, request: Request) -> str:
        """Answer with the calls that this key has made and has left."""
        made = self._calls(key_of(request.query_params.get("api_key"), request.headers.get("authorization")))
        left = {period: max(0, most - made[period]) for period, most in MAX_CALLS.items()}
        return _success({"calls_made": made, "calls_left": left})


def _whole(asked: Any, name: str, default: int) -> int:
    """Return a whole number that is not negative; raise Refused."""
    text = asked.get(name, "")
    if text and not (text.isascii() and text.isdecimal()):
        raise Refused(f"{name} is not an integer.", 1, name)
    return int(text) if text else default


def _success(data: Any) -> str:
    envelope = {"Response": "Success", "Message": "", "HasWarning": False, "Type": 100, "RateLimit": {}, "Data": data}
    return json.dumps(envelope)


def _error(refused: Refused, rate: dict[str, Any] | None = None) -> str:
    envelope: dict[str, Any] = {"Response": "Error", "Message": str(refused), "HasWarning": False}
    envelope |= {"Type": refused.kind, "RateLimit": rate or {}, "Data": {}}
    return json.dumps(envelope | ({"ParamWithError": refused.parameter} if refused.parameter else {}))


def _envelope(rows: list[str], first: int, last: int, newer: bool) -> str:
    """Return rows, which are JSON already, in the success envelope of v2 or of the older paths."""
    data = ",".join(rows)
    if newer:
        return (
            '{"Response":"Success","Message":"","HasWarning":false,"Type":100,"RateLimit":{},'
            f'"Data":{{"Aggregated":false,"TimeFrom":{first},"TimeTo":{last},"Data":[{data}]}}}}'
        )
    return (
        f'{{"Response":"Success","Type":100,"Aggregated":false,"Data":[{data}],"TimeTo":{last},"TimeFrom":{first},'
        '"FirstValueInArray":true,"ConversionType":{"type":"direct","conversionSymbol":""}}'
    )


def _json(text: str, status: int = 200) -> Response:
    return Response(text, status, media_type="application/json")
