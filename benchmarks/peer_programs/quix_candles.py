"""A Kafka topic into PostgreSQL by Quix Streams: its trades, and candles by a tumbling window; floats.

Repeats are kept as trades and counted in candles, and nothing says what is missing.
"""

from __future__ import annotations

import os
from typing import Any

from quixstreams import Application
from quixstreams.dataframe.windows import Count, First, Last, Max, Min, Sum
from quixstreams.sinks.community.postgresql import PostgreSQLSink

from benchmarks.peer_programs.gate import note_began, wait_for_start

TOPIC = "candlekeep.tick-data"
COMMIT_EVERY = 10_000  # records; by default what has been read is stored every five seconds
MINUTE_MS, LATE_MS = 60_000, 5_000


class FirstRecord:
    """Notes when the first record comes."""

    def __init__(self) -> None:
        self.has_come = False

    def __call__(self, record: dict[str, Any]) -> bool:
        """Return whether a record is a trade."""
        if not self.has_come:
            self.has_come = True
            note_began()
        return bool(record["type"] == "trade")


def sink(table: str, **more: Any) -> PostgreSQLSink:
    """Return a sink into this table."""
    host, name = os.environ["PEER_DATABASE_HOST"], os.environ["PEER_DATABASE"]
    access = {"host": host, "port": 5432, "dbname": name, "user": os.environ["PEER_DATABASE_USER"], "password": ""}
    return PostgreSQLSink(**access, table_name=table, **more)


def trade_time(value: Any, headers: Any, timestamp: float, kind: Any) -> int:
    """Return a record's own time in ms; those that are no trades keep the one that they came with."""
    return int(value["ts"]) // 1000 if value["type"] == "trade" else int(timestamp)


def typed(trade: dict[str, Any]) -> dict[str, Any]:
    """Return a trade with numbers in place of texts."""
    numbers = {"price": float(trade["price"]), "amount": float(trade["amount"])}
    return {"market": trade["market"], "ts": trade["ts"], "trade_id": trade["id"], "side": trade["side"], **numbers}


def main() -> None:
    """Store until stopped."""
    app = Application(
        broker_address=os.environ["PEER_KAFKA"],
        consumer_group=os.environ["PEER_GROUP"],
        auto_offset_reset="earliest",
        commit_every=COMMIT_EVERY,
        state_dir=os.environ["PEER_STATE"],
        loglevel="WARNING",
    )
    topic = app.topic(
        "candlekeep.tick-data", key_deserializer="str", value_deserializer="json", timestamp_extractor=trade_time
    )
    trades = app.dataframe(topic).filter(FirstRecord()).apply(typed)
    trades.sink(sink("quix_trade"))
    window = trades.tumbling_window(MINUTE_MS, grace_ms=LATE_MS).agg(
        open=First("price"),
        high=Max("price"),
        low=Min("price"),
        close=Last("price"),
        volume=Sum("amount"),
        trades=Count(),
    )
    candles = window.current().apply(lambda candle, key, at, headers: {"market": key, **candle}, metadata=True)
    candles.sink(sink("quix_candle", primary_key_columns=["market", "start"], upsert_on_primary_key=True))
    wait_for_start("quixstreams", "confluent-kafka", "psycopg2-binary")
    app.run()


if __name__ == "__main__":
    main()
