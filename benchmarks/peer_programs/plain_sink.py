"""A Redis stream into PostgreSQL as most sinks do: executemany, 500 rows a commit, one upsert of a batch's minutes.

Exact and without repeats, as ours is; nothing says what is missing.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import psycopg
from psycopg.types.string import StrDumper

from benchmarks.ingest import ORDINARY_BATCH, ORDINARY_INSERT, ORDINARY_UPSERT
from benchmarks.peer_programs.gate import wait_for_start
from benchmarks.peer_programs.stream_batches import trades

MINUTE_US = 60_000_000
COLUMNS = ("ts", "received_at", "seq", "side", "id")


def main() -> None:
    """Store until stopped."""
    with psycopg.connect(os.environ["DATABASE_URL"]) as database:
        database.adapters.register_dumper(str, StrDumper)
        found = database.execute("select symbol, id from market").fetchall()
        database.commit()
        ids: dict[str, int] = dict(found)
        wait_for_start("psycopg", "redis", "hiredis", "msgspec")
        for batch in trades(msgspec.json.decode, ORDINARY_BATCH):
            if not batch:
                continue
            touched = sorted({(ids[trade["market"]], trade["ts"] - trade["ts"] % MINUTE_US) for trade in batch})
            opens = [datetime.fromtimestamp(at / 1e6, UTC) for _, at in touched]
            rows = [
                (ids[one["market"]], *(one[name] for name in COLUMNS), Decimal(one["price"]), Decimal(one["amount"]))
                for one in batch
            ]
            span = (min(opens), max(opens) + timedelta(minutes=1))
            with database.pipeline(), database.cursor() as cursor:
                cursor.executemany(ORDINARY_INSERT, rows)
                cursor.execute(ORDINARY_UPSERT, ([market for market, _ in touched], opens, *span))
                database.commit()


if __name__ == "__main__":
    main()
