"""What a user of ccxt and python-binance writes; run by the Python that has them, it prints what came as JSON.

Arguments: the address of the API, that of the streams, a symbol of ccxt's and one of Binance's, a start in ms.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import ccxt  # type: ignore[import-not-found,unused-ignore]
import ccxt.pro  # type: ignore[import-not-found,unused-ignore]
from binance import AsyncClient, BinanceSocketManager, Client  # type: ignore[import-not-found,unused-ignore]

API, STREAMS, PAIR, SYMBOL, SINCE = sys.argv[1:6]
SPOT = {"options": {"fetchMarkets": {"types": ["spot"]}}}
EVENTS, PATIENCE_S = 4, 60


def fetched() -> dict[str, Any]:
    exchange = ccxt.binance(SPOT)
    exchange.urls["api"]["public"] = f"{API}/binance/api/v3"
    markets = exchange.load_markets()
    Client.API_URL = f"{API}/binance/api"
    client = Client()
    try:
        client.get_klines(symbol="NONESUCH", interval="1m")
    except Exception as exc:
        refusal = str(exc)
    return {
        "markets": {symbol: market["precision"] for symbol, market in markets.items()},
        "ohlcv": exchange.fetch_ohlcv(PAIR, "1m", since=int(SINCE), limit=3),
        "trades": exchange.fetch_trades(PAIR, limit=5),
        "klines": client.get_klines(symbol=SYMBOL, interval="1m", startTime=int(SINCE), limit=3),
        "refusal": refusal,
    }


async def watched() -> list[Any]:
    exchange = ccxt.pro.binance(SPOT)
    exchange.urls["api"]["public"] = f"{API}/binance/api/v3"
    exchange.urls["api"]["ws"]["spot"] = f"{STREAMS}/binance/ws"
    seen = []
    for _ in range(EVENTS):
        candles = await asyncio.wait_for(exchange.watch_ohlcv(PAIR, "1m"), PATIENCE_S)
        seen.append(list(candles[-1]))
    await exchange.close()
    return seen


async def pushed() -> list[Any]:
    AsyncClient.API_URL = f"{API}/binance/api"
    client = await AsyncClient.create()
    manager = BinanceSocketManager(client)
    manager.STREAM_URL = f"{STREAMS}/binance/"
    async with manager.kline_socket(SYMBOL, interval="1m") as socket:
        seen = [await asyncio.wait_for(socket.recv(), PATIENCE_S) for _ in range(EVENTS)]
    await client.close_connection()
    return seen


found = fetched()
print(json.dumps({**found, "watched": asyncio.run(watched()), "pushed": asyncio.run(pushed())}))
