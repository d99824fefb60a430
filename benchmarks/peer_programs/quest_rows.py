"""A Redis stream into QuestDB, row by row through its Python client: floats, repeats are kept."""

from __future__ import annotations

import os

import orjson
from questdb import Sender, TimestampMicros

from benchmarks.peer_programs.gate import wait_for_start
from benchmarks.peer_programs.stream_batches import trades

BATCH = 5000
SIDES = {1: "buy", -1: "sell"}


def main() -> None:
    """Store until stopped."""
    wait_for_start("questdb", "redis", "hiredis", "orjson")
    with Sender.from_conf(os.environ["QUESTDB_CONF"]) as sender:
        for batch in trades(orjson.loads, BATCH):
            for trade in batch:
                sender.row(
                    "trades",
                    symbols={"symbol": trade["market"], "side": SIDES[trade["side"]]},
                    columns={"price": float(trade["price"]), "amount": float(trade["amount"]), "id": trade["id"]},
                    at=TimestampMicros(trade["ts"]),
                )
            sender.flush()


if __name__ == "__main__":
    main()
