"""What the REST sides of the venues have in common: counts, limits, faults, the log.

Handlers are plain functions, which Starlette runs in threads; one page of history at a time is computed.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.venues.faults import RestTrouble, TroubleKind
from simulator.venues.venue import Venue

HTML_PAGE = "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>cloudflare</body></html>"
Troubles = dict[TroubleKind, tuple[int, object]]  # HTTP status and body of each


@dataclass
class Answered:
    """An answer that is ready: what is not text becomes JSON."""

    body: object
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        """Return it as a response."""
        text = self.body if isinstance(self.body, str) else json.dumps(self.body, separators=(",", ":"))
        kind = "text/html" if text.startswith("<") else "application/json"
        return Response(text, self.status, dict(self.headers), media_type=kind)


class Refused(Exception):
    """The call is answered with an error."""

    def __init__(self, body: object, status: int = 400, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(body)
        self.answered = Answered(body, status, headers or {})


class VenueRest(ABC):
    """The REST side of one venue."""

    troubles: Troubles

    def __init__(self, venue: Venue) -> None:
        self.venue = venue

    @abstractmethod
    def routes(self) -> list[Route]:
        """Return the addresses."""

    def trouble(self, fault: RestTrouble) -> Answered:
        """Return how the venue says that something is wrong."""
        status, body = self.troubles[fault.kind]
        return Answered(body, status, {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)})

    def count(self, weight: int) -> Answered | None:
        """Count a call; return the refusal if it is over a limit."""
        return None if self.venue.take("calls", weight) else self.trouble(RestTrouble(kind="ratelimit"))

    def headers(self) -> dict[str, str]:
        """Return what every answer carries."""
        return {}

    def route(self, path: str, answer: Callable[[Request], Answered], weight: int = 1) -> Route:
        """Return an address with what all share."""

        def endpoint(request: Request) -> Response:
            self.venue.calls[path] += 1
            answered = self._refusal(weight) or self._answer(answer, request)
            answered.headers = {**self.headers(), **answered.headers}
            self.venue.provider.log.note(
                "asked",
                venue=self.venue.name,
                path=request.url.path,
                query=dict(request.query_params),
                status=answered.status,
                at=self.venue.now(),
            )
            return answered.response()

        return Route(path, endpoint)

    def _refusal(self, weight: int) -> Answered | None:
        over = self.count(weight)
        fault = self.venue.faults.trouble
        if self.venue.now() < fault.until:
            return self.trouble(fault)
        if self.venue.in_maintenance(self.venue.now()):
            return self.trouble(RestTrouble(kind="maintenance"))
        return over

    def _answer(self, answer: Callable[[Request], Answered], request: Request) -> Answered:
        try:
            with self.venue.computing:
                return answer(request)
        except Refused as refused:
            return refused.answered


def whole(request: Request, name: str) -> int | None:
    """Return a parameter as a whole number that is not negative, None without it; raise ValueError."""
    text = request.query_params.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise ValueError(name)
    return int(text)
