"""The newest candles out of our own table by FastAPI and asyncpg: no certificate, no limits, no cache."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
import orjson
import uvicorn
from fastapi import FastAPI, Response

from benchmarks.peer_programs.gate import wait_for_start

CANDLES = """
select open_time, open, high, low, close, volume
  from candle
 where market_id = (select id from market where symbol = $1) and resolution = 60 and open_time < $2
 order by open_time desc limit 500
"""
END_OF_TIME_MS = 4_000_000_000_000


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keep a pool of connections."""
    async with asyncpg.create_pool(os.environ["PEER_DSN"]) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


async def newest(market: str, to: int) -> list[dict[str, Any]]:
    """Return the candles before a time in ms."""
    rows = await app.state.pool.fetch(CANDLES, market, datetime.fromtimestamp(to / 1000, UTC))
    return [dict(row) for row in rows]


@app.get("/candles")
async def candles(market: str, to: int = END_OF_TIME_MS) -> list[dict[str, Any]]:
    """Return them as the framework writes them."""
    return await newest(market, to)


@app.get("/candles-orjson")
async def candles_by_orjson(market: str, to: int = END_OF_TIME_MS) -> Response:
    """Return them as orjson writes them."""
    return Response(orjson.dumps(await newest(market, to), default=str), media_type="application/json")


if __name__ == "__main__":
    wait_for_start("fastapi", "uvicorn", "asyncpg", "orjson")
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PEER_PORT"]), log_level="warning", access_log=False)
