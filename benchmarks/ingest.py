"""Records in the stream -> candles in the database, compared with the database's own limit and two common ways."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection, transaction
from psycopg.types.string import StrDumper

from benchmarks import trades
from streaming.records import LiveRecord, Trade

MARKETS = 20
BATCH = 5_000
ROUNDS = 3
ORDINARY_BATCH = 500
TABLES = "tick, candle, coverage, feed_position, id_range, last_trade, dead_letter, market"


@dataclass(slots=True)
class TimeByPart:
    """Seconds spent in each part of the consumer's turns."""

    seconds: dict[str, float] = field(default_factory=dict)

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, with its time added up under this name."""

        def call(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began

        return call

    def line(self) -> str:
        """Return each part's share."""
        whole = sum(self.seconds.values()) or 1
        return ", ".join(f"{name} {value / whole:.0%}" for name, value in sorted(self.seconds.items()))


def clear_database() -> None:
    """Delete everything: trades, candles, coverage."""
    with connection.cursor() as cursor:
        cursor.execute(f"truncate {TABLES} restart identity cascade")
        cursor.execute("drop table if exists plain_tick, ordinary_tick, ordinary_candle")
    from datastore.reference.markets import ensure_markets

    ensure_markets(trades.symbols(MARKETS))


def candlekeep(records: list[LiveRecord]) -> tuple[float, TimeByPart]:
    """Publish everything, then run the real consumer until the topic is drained; return its seconds, and by part."""
    from actor_runtime.configured_broker import configured_broker
    from actor_runtime.loop.runner import Runner
    from consumers import fixed_consumer_actor as consumer

    broker = configured_broker()
    admin = broker.admin()
    admin.delete_topic("tick-data")
    admin.create_topic("tick-data")
    publisher = broker.publisher()
    ready = trades.messages(records)
    for index in range(0, len(ready), BATCH):
        publisher.publish("tick-data", ready[index : index + BATCH])
    work, parts = consumer.FixedTopicWork("tick-data"), TimeByPart()
    runner = Runner(work, Event())
    while runner.loop is None:
        runner.step()  # only claims: the step that opens also takes a batch, so the clock starts before it
    return _drain(runner, work, parts), parts


def _drain(runner: Any, work: Any, parts: TimeByPart) -> float:
    handler = work.handler
    timed_read, timed_store = parts.timed("decode", handler.read), parts.timed("database", handler.store)
    work.handler = replace(handler, read=timed_read, store=timed_store)
    opened = work.open

    def open_and_time(session: Any) -> None:
        opened(session)
        subscription = work._subscription
        subscription.poll = parts.timed("stream", subscription.poll)
        subscription.commit = parts.timed("stream", subscription.commit)
        work._update_cache = parts.timed("cache", work._update_cache)

    work.open = open_and_time
    try:
        began = time.perf_counter()
        runner.step()
        while work._subscription.lag():
            runner.step()
        seconds = time.perf_counter() - began
    finally:
        runner.end()
    return seconds


def database_limit(records: list[LiveRecord]) -> float:
    """Give the same batches, already as the write function's columns, straight to it."""
    from datastore.ingest.live_batch import split_batch
    from datastore.ingest.live_write import INGEST
    from datastore.models import Market

    ids = dict(Market.objects.values_list("symbol", "pk"))
    batches: list[Any] = []
    for index in range(0, len(records), BATCH):
        ready = split_batch(records[index : index + BATCH])
        batches.append([[ids[symbol] for symbol in ready.symbols], *ready.columns, ready.since])
    began = time.perf_counter()
    for parameters in batches:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(INGEST, parameters)
            cursor.execute("update market set version = version + 1")
    return time.perf_counter() - began


def plain_copy(records: list[LiveRecord]) -> float:
    """COPY the same rows into a table without indexes: no candles, no deduplication."""
    rows = [record for record in records if isinstance(record, Trade)]
    with psycopg.connect(settings.DATABASE_URL) as plain:
        plain.execute(
            "create table plain_tick (market text, ts bigint, seq bigint, id text, price numeric, amount numeric)"
        )
        plain.commit()
        began = time.perf_counter()
        for index in range(0, len(rows), BATCH):
            with plain.cursor().copy("copy plain_tick from stdin") as copy:
                for row in rows[index : index + BATCH]:
                    copy.write_row((row.market, row.ts, row.seq, row.id, row.price, row.amount))
            plain.commit()
        return time.perf_counter() - began


ORDINARY_TABLES = """
create table ordinary_tick (like tick including constraints, primary key (market_id, ts, trade_id));
create table ordinary_candle (
  market_id int, open_time timestamptz, open numeric, high numeric, low numeric, close numeric,
  volume numeric, quote_volume numeric, trades int, primary key (market_id, open_time));
"""
ORDINARY_INSERT = """
insert into ordinary_tick (market_id, ts, received_at, seq, side, trade_id, price, amount)
values (%s, to_timestamp(%s / 1e6), to_timestamp(%s / 1e6), %s, %s, %s, %s, %s) on conflict do nothing
"""
ORDINARY_UPSERT = """
insert into ordinary_candle
select market_id, date_trunc('minute', ts), (array_agg(price order by ts, seq, trade_id))[1], max(price), min(price),
       (array_agg(price order by ts desc, seq desc, trade_id desc))[1], sum(amount), sum(price * amount), count(*)
  from ordinary_tick
 where (market_id, date_trunc('minute', ts)) in (select * from unnest(%s::int[], %s::timestamptz[]))
   and ts >= %s and ts < %s
 group by 1, 2
on conflict (market_id, open_time) do update set open = excluded.open, high = excluded.high, low = excluded.low,
  close = excluded.close, volume = excluded.volume, quote_volume = excluded.quote_volume, trades = excluded.trades
"""


def ordinary_sink(records: list[LiveRecord]) -> float:
    """Store as most sinks do: executemany in pipeline mode, 500 rows per commit, one upsert of the batch's minutes."""
    from datetime import UTC, datetime, timedelta

    from datastore.models import Market

    ids = dict(Market.objects.values_list("symbol", "pk"))
    rows = [record for record in records if isinstance(record, Trade)]
    minute = 60 * trades.SECOND
    with psycopg.connect(settings.DATABASE_URL) as sink:
        sink.adapters.register_dumper(str, StrDumper)
        sink.execute(ORDINARY_TABLES)
        sink.commit()
        began = time.perf_counter()
        for index in range(0, len(rows), ORDINARY_BATCH):
            batch = rows[index : index + ORDINARY_BATCH]
            touched = sorted({(ids[row.market], row.ts - row.ts % minute) for row in batch})
            opens = [datetime.fromtimestamp(at / 1e6, UTC) for _, at in touched]
            values = [
                (ids[row.market], row.ts, row.received_at, row.seq, row.side, row.id, row.price, row.amount)
                for row in batch
            ]
            with sink.pipeline(), sink.cursor() as cursor:
                cursor.executemany(ORDINARY_INSERT, values)
                span = (min(opens), max(opens) + timedelta(minutes=1))
                cursor.execute(ORDINARY_UPSERT, ([market for market, _ in touched], opens, *span))
                sink.commit()
        return time.perf_counter() - began


DIFFERING_CANDLES = """
select count(*) from
 (select market_id, open_time, open, high, low, close, trim_scale(volume), trim_scale(quote_volume), trades
    from ordinary_candle
  except
  select market_id, open_time, open, high, low, close, volume, quote_volume, trades from candle where resolution = 60) x
"""


def run() -> list[str]:
    """Measure a low and a high density of trades."""
    return [*measure(231, 100_000), *measure(23_000, 200_000)]


def measure(per_minute: int, total: int) -> list[str]:
    """Measure all four, interleaved, and return the table's lines for one density (trades a minute and market)."""
    records = list(trades.records(trades.symbols(MARKETS), per_minute, total))
    times: dict[str, list[float]] = {"ours": [], "limit": [], "copy": [], "sink": []}
    parts = TimeByPart()
    for _ in range(ROUNDS):
        clear_database()
        times["limit"].append(database_limit(records))
        clear_database()
        seconds, parts = candlekeep(records)
        times["ours"].append(seconds)
        times["copy"].append(plain_copy(records))
        times["sink"].append(ordinary_sink(records))
        with connection.cursor() as cursor:
            cursor.execute(DIFFERING_CANDLES)
            assert cursor.fetchone() == (0,), "the ordinary sink's candles differ from ours"
            cursor.execute("select count(*) from tick")
            assert cursor.fetchone() == (total,), "trades are missing"
    rate = {name: total / statistics.median(seconds) for name, seconds in times.items()}
    return [
        f"{per_minute:,} trades per minute and market, {MARKETS} markets, {total:,} trades, median of {ROUNDS}",
        _line("stream -> candles (ours)", rate["ours"], f"trades/s; {parts.line()}"),
        _line("the write function alone", rate["limit"], f"ours is {rate['ours'] / rate['limit']:.2f} of it"),
        _line("COPY, no index, no candles", rate["copy"], f"ours is {rate['ours'] / rate['copy']:.2f} of it"),
        _line("ordinary sink, same candles", rate["sink"], f"ours is {rate['ours'] / rate['sink']:.1f} times it"),
    ]


def _line(what: str, rate: float, note: str) -> str:
    return f"  {what:<30}{rate:>10,.0f}  {note}"
