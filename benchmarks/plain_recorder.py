"""What most people run: a socket, a JSON parser and rows. The peer of venue_feed.py.

`python -m benchmarks.plain_recorder WS_URL DATABASE_URL VENUE CHANNEL…`
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import psycopg
import websocket

COMMIT_EVERY_S = 0.05
INSERT = "insert into plain_trade values (%s, %s, %s, %s, %s, %s, %s) on conflict do nothing"


def rows_of(venue: str, frame: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the trades of a frame: market, first and last id, time, price, amount, side, all as they are sent."""
    if venue == "coinbase" and frame["type"] == "match":
        one = frame["trade_id"]
        yield frame["product_id"], one, one, frame["time"], frame["price"], frame["size"], frame["side"]
    elif venue == "binance" and (row := frame.get("data", frame)).get("e") == "aggTrade":
        yield row["s"], row["f"], row["l"], str(row["T"]), row["p"], row["q"], str(row["m"])
    elif venue == "kraken" and frame.get("channel") == "trade":
        for row in frame["data"]:
            one = row["trade_id"]
            yield row["symbol"], one, one, row["timestamp"], row["price"], row["qty"], row["side"]
    elif venue == "okx" and "data" in frame:
        for row in frame["data"]:
            one = int(row["tradeId"])
            yield row["instId"], one, one, row["ts"], row["px"], row["sz"], row["side"]


def subscriptions(venue: str, channels: Sequence[str]) -> list[bytes]:
    """Return the frames that subscribe, as our own Producer sends them."""
    import django

    django.setup()
    from ingestion.providers.table import PROVIDERS

    return PROVIDERS[venue].stream().subscribe(channels)


def main(ws_url: str, database_url: str, venue: str, *channels: str) -> None:
    """Record until stopped."""
    messages = subscriptions(venue, channels)  # first: a venue cuts a connection that asks for nothing
    socket = websocket.create_connection(ws_url, timeout=10)
    for message in messages:
        socket.send(message)
    waiting: list[tuple[Any, ...]] = []
    with psycopg.connect(database_url) as database:
        committed = time.monotonic()
        while True:
            waiting += rows_of(venue, msgspec.json.decode(socket.recv_data()[1]))
            if waiting and time.monotonic() - committed >= COMMIT_EVERY_S:
                with database.cursor() as cursor:
                    cursor.executemany(INSERT, waiting)
                database.commit()
                waiting, committed = [], time.monotonic()


if __name__ == "__main__":
    main(*sys.argv[1:])
