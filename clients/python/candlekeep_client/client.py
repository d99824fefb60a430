"""The client that waits for its answers."""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from types import TracebackType
from typing import Self, TypeVar

import httpx

from candlekeep_client import questions
from candlekeep_client.candles import Candles
from candlekeep_client.errors import Refused, Unreachable
from candlekeep_client.following import PATH, SILENCE_S, Place
from candlekeep_client.markets import Coverage, Market
from candlekeep_client.questions import Conversation, Gaps, Steps, range_params, unreachable
from candlekeep_client.times import Instant
from candlekeep_client.trades import Trades
from candlekeep_client.updates import Update

T = TypeVar("T")
ADDRESS = "http://127.0.0.1:8000"
PATIENCE_S = 60.0
TIMEOUT_S = 60.0  # of one answer, which may wait up to 30 s for data


def http_options(address: str | None, key: str | None) -> dict[str, object]:
    """Return how a connection is made; without an address or a key, those of the environment are taken."""
    base = (address or os.environ.get("CANDLEKEEP_URL") or ADDRESS).rstrip("/")
    key = key or os.environ.get("CANDLEKEEP_KEY")
    return {
        "base_url": f"{base}/api/v1/",
        # As Bearer, and not as X-API-Key: it stays with this host where a stream is served by another one.
        "headers": {"Authorization": f"Bearer {key}"} if key else {},
        "follow_redirects": True,
        "timeout": TIMEOUT_S,
    }


class Client:
    """A Candlekeep at an address. Use it as a context manager, or close it.

    key: an API key, where one is needed. Without them, CANDLEKEEP_URL and CANDLEKEEP_KEY are taken. transport: an httpx
    transport in place of the network's.

    Times are aware datetimes, dates (midnight UTC), ISO 8601, or seconds or milliseconds since 1970. Markets are named
    `exchange:BASE-QUOTE`. `patience` is for how many seconds a question is asked again while the server is away, busy,
    or still fetching. What is asked for in vain is Refused or Unreachable.
    """

    def __init__(
        self, address: str | None = None, key: str | None = None, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._http = httpx.Client(transport=transport, **http_options(address, key))  # type: ignore[arg-type]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connections."""
        self._http.close()

    def candles(
        self,
        market: str,
        timeframe: str = "1m",
        start: Instant | None = None,
        end: Instant | None = None,
        *,
        limit: int | None = None,
        closed_only: bool = False,
        gaps: Gaps = "refuse",
        patience: float = PATIENCE_S,
    ) -> Candles:
        """Return the candles of [start, end), or without a start the newest `limit` (500) before `end` (now).

        Raises GapsFound, which names each gap with its reason, if anything of the range is missing; gaps="allow"
        returns what there is. StillFetching: there is nothing yet, and the provider is still being asked.
        """
        params = range_params(market, timeframe, start, end, limit)
        if closed_only:
            params["closed_only"] = "1"
        return self._run(questions.candles(params, gaps, patience))

    def trades(
        self,
        market: str,
        start: Instant | None = None,
        end: Instant | None = None,
        *,
        limit: int | None = None,
        patience: float = PATIENCE_S,
    ) -> Trades:
        """Return the stored trades of [start, end), or without a start the newest `limit` (500)."""
        return self._run(questions.trades(range_params(market, None, start, end, limit), patience))

    def coverage(
        self,
        market: str,
        timeframe: str = "1m",
        start: Instant | None = None,
        end: Instant | None = None,
        *,
        limit: int | None = None,
        patience: float = PATIENCE_S,
    ) -> Coverage:
        """Return how much of a range is there; it fetches nothing."""
        return self._run(questions.coverage(range_params(market, timeframe, start, end, limit), patience))

    def markets(self, *, patience: float = PATIENCE_S) -> list[Market]:
        """Return all markets that were followed or asked for."""
        return self._run(questions.markets(patience))

    def market(self, name: str, *, patience: float = PATIENCE_S) -> Market:
        """Return one market; raise UnknownMarket."""
        return self._run(questions.market(name, patience))

    def follow(
        self,
        market: str,
        timeframe: str = "1m",
        *,
        cursor: str | Candles | None = None,
        limit: int | None = None,
        patience: float | None = None,
    ) -> Generator[Update]:
        """Yield what changes, without end: nothing is skipped and nothing comes twice, whatever breaks in between.

        It continues behind Candles or the cursor of an update. Without either a Snapshot of the newest `limit` (500)
        buckets comes first.
        A cursor that cannot be continued brings a Snapshot that says why. A lost connection is made again, and
        logged, for `patience` seconds in a row, by default for any time. Raises Refused, and Unreachable at its end.
        """
        place = Place(market, timeframe, cursor, limit, patience)
        while True:
            failure: Refused | Unreachable | None = None
            opened = self._http.stream("GET", PATH, params=place.params, headers=place.headers, timeout=SILENCE_S)
            try:
                with opened as response:
                    if not response.is_success:
                        response.read()
                    place.connected(response)
                    for chunk in response.iter_bytes():
                        yield from place.taken(chunk)
            except httpx.TransportError as exc:
                failure = unreachable(exc)
            except Refused as exc:
                failure = exc
            time.sleep(place.pause_after(failure))

    def _run(self, steps: Steps[T]) -> T:
        asked = Conversation(steps)
        while asked.ask is not None:
            time.sleep(asked.ask.after)
            try:
                asked.answer(self._http.get(asked.ask.path, params=dict(asked.ask.params)))
            except httpx.TransportError as exc:
                asked.fail(exc)
        return asked.found
