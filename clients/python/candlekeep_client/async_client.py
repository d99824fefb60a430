"""The same client for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Self, TypeVar

import httpx

from candlekeep_client import questions
from candlekeep_client.candles import Candles
from candlekeep_client.client import PATIENCE_S, http_options
from candlekeep_client.errors import Refused, Unreachable
from candlekeep_client.following import PATH, SILENCE_S, Place
from candlekeep_client.markets import Coverage, Market
from candlekeep_client.questions import Conversation, Gaps, Steps, range_params, unreachable
from candlekeep_client.times import Instant
from candlekeep_client.trades import Trades
from candlekeep_client.updates import Update

T = TypeVar("T")


class AsyncClient:
    """A Candlekeep at an address: as Client, whose methods say what is returned and raised."""

    def __init__(
        self, address: str | None = None, key: str | None = None, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._http = httpx.AsyncClient(transport=transport, **http_options(address, key))  # type: ignore[arg-type]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connections."""
        await self._http.aclose()

    async def candles(
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
        """Return candles, see Client.candles."""
        params = range_params(market, timeframe, start, end, limit)
        if closed_only:
            params["closed_only"] = "1"
        return await self._run(questions.candles(params, gaps, patience))

    async def trades(
        self,
        market: str,
        start: Instant | None = None,
        end: Instant | None = None,
        *,
        limit: int | None = None,
        patience: float = PATIENCE_S,
    ) -> Trades:
        """Return trades, see Client.trades."""
        return await self._run(questions.trades(range_params(market, None, start, end, limit), patience))

    async def coverage(
        self,
        market: str,
        timeframe: str = "1m",
        start: Instant | None = None,
        end: Instant | None = None,
        *,
        limit: int | None = None,
        patience: float = PATIENCE_S,
    ) -> Coverage:
        """Return how much of a range is there, see Client.coverage."""
        return await self._run(questions.coverage(range_params(market, timeframe, start, end, limit), patience))

    async def markets(self, *, patience: float = PATIENCE_S) -> list[Market]:
        """Return all markets that were followed or asked for."""
        return await self._run(questions.markets(patience))

    async def market(self, name: str, *, patience: float = PATIENCE_S) -> Market:
        """Return one market; raise UnknownMarket."""
        return await self._run(questions.market(name, patience))

    async def follow(
        self,
        market: str,
        timeframe: str = "1m",
        *,
        cursor: str | Candles | None = None,
        limit: int | None = None,
        patience: float | None = None,
    ) -> AsyncGenerator[Update]:
        """Yield what changes, see Client.follow. To end it at once, use contextlib.aclosing."""
        place = Place(market, timeframe, cursor, limit, patience)
        while True:
            failure: Refused | Unreachable | None = None
            opened = self._http.stream("GET", PATH, params=place.params, headers=place.headers, timeout=SILENCE_S)
            try:
                async with opened as response:
                    if not response.is_success:
                        await response.aread()
                    place.connected(response)
                    async for chunk in response.aiter_bytes():
                        for update in place.taken(chunk):
                            yield update
            except httpx.TransportError as exc:
                failure = unreachable(exc)
            except Refused as exc:
                failure = exc
            await asyncio.sleep(place.pause_after(failure))

    async def _run(self, steps: Steps[T]) -> T:
        asked = Conversation(steps)
        while asked.ask is not None:
            await asyncio.sleep(asked.ask.after)
            try:
                asked.answer(await self._http.get(asked.ask.path, params=dict(asked.ask.params)))
            except httpx.TransportError as exc:
                asked.fail(exc)
        return asked.found
