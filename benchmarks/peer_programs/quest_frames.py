"""A Redis stream into QuestDB by data frames through its Python client: floats, repeats are kept."""

from __future__ import annotations

import os

import orjson
import pandas as pd
from questdb import Sender

from benchmarks.peer_programs.gate import wait_for_start
from benchmarks.peer_programs.stream_batches import trades

BATCH = 20_000
SIDES = {1: "buy", -1: "sell"}


def main() -> None:
    """Store until stopped."""
    wait_for_start("questdb", "pandas", "redis", "hiredis", "orjson")
    with Sender.from_conf(os.environ["QUESTDB_CONF"]) as sender:
        for batch in trades(orjson.loads, BATCH):
            frame = pd.DataFrame(batch, columns=["market", "side", "price", "amount", "id", "ts"])
            columns = {
                "symbol": frame["market"].astype("category"),
                "side": frame["side"].map(SIDES).astype("category"),
                "price": frame["price"].astype("float64"),
                "amount": frame["amount"].astype("float64"),
                "id": frame["id"],
                "timestamp": pd.to_datetime(frame["ts"], unit="us"),
            }
            sender.dataframe(pd.DataFrame(columns), table_name="trades", at="timestamp")
            sender.flush()


if __name__ == "__main__":
    main()
