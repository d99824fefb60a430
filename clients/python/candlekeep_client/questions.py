"""What is asked, in which order, and when again: without a connection, so that both clients do the same.

A question is a generator. It yields each Ask, is sent the response to it, or is thrown Unreachable, and returns what
was found.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import parse_qsl, quote, urlsplit

import httpx

from candlekeep_client.candles import Candles
from candlekeep_client.errors import GapsFound, Refused, StillFetching, Unreachable, refusal_of
from candlekeep_client.long_answers import UNDER_WAY, answer_of, is_readable
from candlekeep_client.markets import Coverage, Market
from candlekeep_client.times import Instant, query_text
from candlekeep_client.trades import Trades

T = TypeVar("T")
Gaps = Literal["refuse", "allow"]
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 5.0
FETCH_PAUSE_S = 0.5  # an answer that waits comes late by itself; one that does not wait is not asked for at once
WAIT_S = 10.0  # how long one answer may wait for what is being fetched
OK, ACCEPTED = 200, 202


@dataclass(frozen=True, slots=True)
class Ask:
    """GET a path below /api/v1/ after so many seconds."""

    path: str
    params: Mapping[str, str]
    after: float = 0.0


Steps = Generator[Ask, httpx.Response, T]


class Conversation(Generic[T]):
    """A question under way. `ask` is what to send next; None: `found` is what was asked for."""

    found: T

    def __init__(self, steps: Steps[T]) -> None:
        self._steps = steps
        self.ask: Ask | None = None
        self._go_on(lambda: next(steps))

    def answer(self, response: httpx.Response) -> None:
        """Go on with the response to `ask`."""
        self._go_on(lambda: self._steps.send(response))

    def fail(self, exc: httpx.TransportError) -> None:
        """Go on without one."""
        failure = unreachable(exc)
        self._go_on(lambda: self._steps.throw(failure))

    def _go_on(self, step: Callable[[], Ask]) -> None:
        try:
            self.ask = step()
        except StopIteration as done:
            self.ask, self.found = None, done.value


def range_params(
    market: str, timeframe: str | None, start: Instant | None, end: Instant | None, limit: int | None
) -> dict[str, str]:
    """Return the parameters that name a range; raise ValueError for a limit beside a start, which would cut it off."""
    if start is not None and limit is not None:
        raise ValueError("limit: it counts back from the end; leave it out where there is a start")
    params = {"market": market, "timeframe": timeframe, "limit": None if limit is None else str(limit)}
    spans = {"from": start, "to": end}
    named = {"from": "start", "to": "end"}
    texts = {name: query_text(named[name], instant) for name, instant in spans.items() if instant is not None}
    return {name: text for name, text in (params | texts).items() if text is not None}


def candles(params: Mapping[str, str], gaps: Gaps, patience: float) -> Steps[Candles]:
    """Ask for a range of candles, and while the provider is being asked for it, again for `patience` seconds.

    One that does not fit into a page comes as one long answer, or page by page where no long answer is given.
    Raises GapsFound unless gaps are allowed, StillFetching where nothing came in time, Refused and Unreachable.
    """
    deadline = monotonic() + patience
    first = yield from _fetched({**params, "wait": f"{min(patience, WAIT_S):g}"}, patience, deadline)
    # While anything is being fetched, pages are what waits for it.
    is_whole_there = not (first["request"] or {}).get("id")
    long = first["next"] and is_whole_there and is_readable(params["timeframe"])
    answers = [((yield from _whole(params)) if long else None) or first]
    while following := _query_of(answers[-1]["next"]):
        answers.append((yield from _fetched(following, patience, deadline)))

    found = Candles.of(answers)
    if found.certificate.gaps and gaps == "refuse":
        raise GapsFound(found.certificate.gaps, found)
    return found


def trades(params: Mapping[str, str], patience: float) -> Steps[Trades]:
    """Ask for a range of trades. Raises Refused and Unreachable."""
    return Trades((yield from _pages("trades", params, patience)))


def coverage(params: Mapping[str, str], patience: float) -> Steps[Coverage]:
    """Ask for the certificate of a range. Raises Refused and Unreachable."""
    return Coverage.of((yield from _pages("coverage", params, patience)))


def markets(patience: float) -> Steps[list[Market]]:
    """Ask for all markets. Raises Refused and Unreachable."""
    answer = yield from _get("markets", {}, patience)
    return [Market.of(one) for one in answer.json()["markets"]]


def market(name: str, patience: float) -> Steps[Market]:
    """Ask for one market. Raises Refused, of an unknown one UnknownMarket, and Unreachable."""
    answer = yield from _get(f"markets/{quote(name, safe=':')}", {}, patience)
    return Market.of(answer.json())


def _fetched(params: Mapping[str, str], patience: float, deadline: float) -> Steps[dict[str, Any]]:
    """Return the answer of one page of candles, asked again while a running request may still bring something."""
    after = 0.0
    while True:
        response = yield from _get("candles", params, patience, after)
        answer: dict[str, Any] = response.json()
        request = answer["request"] or {}
        runs = request.get("id") is not None and request["error"] is None and not answer.get("complete")
        if response.status_code != ACCEPTED and not (runs and monotonic() < deadline):
            return answer
        if monotonic() >= deadline or (response.status_code == ACCEPTED and not runs):
            raise StillFetching(request)
        after = FETCH_PAUSE_S


def _whole(params: Mapping[str, str]) -> Steps[dict[str, Any] | None]:
    """Return a range as one answer; None where it cannot be had at once and whole."""
    try:
        response = yield Ask("candles", {**params, "format": "arrow", "wait": "0"})
    except Unreachable:
        return None
    if response.status_code != OK or UNDER_WAY in response.headers:
        return None
    return answer_of(response.content)


def _pages(path: str, params: Mapping[str, str], patience: float) -> Steps[list[dict[str, Any]]]:
    answers = list[dict[str, Any]]()
    following: Mapping[str, str] | None = params
    while following is not None:
        answers.append((yield from _get(path, following, patience)).json())
        following = _query_of(answers[-1]["next"])
    return answers


def _get(path: str, params: Mapping[str, str], patience: float, after: float = 0.0) -> Steps[httpx.Response]:
    """Return an answer; where none comes, or one that says "later", ask again for `patience` seconds."""
    pause, deadline = FIRST_PAUSE_S, monotonic() + patience
    while True:
        failure: Refused | Unreachable
        try:
            response = yield Ask(path, params, after)
        except Unreachable as exc:
            failure = exc
        else:
            if response.is_success:
                return response
            failure = error_of(response)
        after = max(pause, failure.retry_after or 0)
        if not failure.passes or monotonic() + after > deadline:
            raise failure
        pause = min(2 * pause, LONGEST_PAUSE_S)


def error_of(response: httpx.Response) -> Refused:
    """Return the error that a response means, whose body has been read."""
    try:
        body: Any = response.json()
    except ValueError:
        body = response.text
    return refusal_of(response.status_code, body, response.headers.get("Retry-After"))


def unreachable(exc: httpx.TransportError) -> Unreachable:
    """Return the error for a connection that could not be made, or was lost."""
    return Unreachable(f"{type(exc).__name__}: {exc}")


def _query_of(following: str | None) -> dict[str, str] | None:
    """Return the parameters of a page's address. Its path may be another one behind a proxy."""
    return None if following is None else dict(parse_qsl(urlsplit(following).query, keep_blank_values=True))
