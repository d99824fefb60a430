"""Ingest by one, two and three consumer processes on Kafka, and on Redis Streams: rates, and where the time goes.

Broker, database, consumers and this process share the machine's cores, so ratios say more than rates.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from django.conf import settings
from django.db import connection

from benchmarks import trades
from benchmarks.ingest import BATCH, MARKETS, clear_database
from metering.sharing import collect_counters
from streaming.broker import Broker, Message
from streaming.broker_factory import connect
from streaming.topics import TICK_DATA
from tests.support.polling import until

TRADES_PER_MINUTE = 231  # of each market
TRADES, BACKLOG_TRADES = 200_000, 1_000_000
TIMEOUT_S = 1800.0  # for one run
PARTS = ("poll", "decode", "database", "cache")


@dataclass(frozen=True, slots=True)
class Drained:
    """One run: trades a second, the consumers' seconds by part, and the cores used by each kind of process."""

    rate: float
    parts: dict[str, float]
    cores: dict[str, float]

    def line(self) -> str:
        """Return where the time went."""
        whole = sum(self.parts.values()) or 1
        shares = ", ".join(f"{name} {self.parts.get(name, 0.0) / whole:.0%}" for name in PARTS)
        cores = ", ".join(f"{name} {used:.2f}" for name, used in self.cores.items())
        return f"{shares}; cores: {cores}"


def publish(broker: Broker, ready: list[Message]) -> float:
    """Create the topic again and publish everything to it; return the records published per second."""
    admin = broker.admin()
    admin.delete_topic(TICK_DATA.name)
    until("the old topic is gone", lambda: TICK_DATA.name not in admin.topics(), 30)
    admin.create_topic(TICK_DATA.name, TICK_DATA.partitions)
    admin.close()
    publisher, began = broker.publisher(), time.perf_counter()
    for index in range(0, len(ready), BATCH):
        publisher.publish(TICK_DATA.name, ready[index : index + BATCH])
    publisher.close()
    return len(ready) / (time.perf_counter() - began)


@contextmanager
def consumers(count: int, stream_url: str, metrics: Path) -> Iterator[list[psutil.Process]]:
    """Run this many consumer processes, each with an actor's row to claim."""
    from consumers.models import FixedTopicConsumer

    FixedTopicConsumer.objects.all().delete()
    for number in range(1, count + 1):
        FixedTopicConsumer.objects.create(name=f"fixed-tick-{number}")
    command = [sys.executable, "manage.py", "run_fixed_consumer", "--topic", TICK_DATA.name]
    env = {**os.environ, "STREAM_URL": stream_url, "METRICS_DIR": str(metrics)}
    running = [subprocess.Popen(command, env=env) for _ in range(count)]
    try:
        yield [psutil.Process(child.pid) for child in running]
    finally:
        for child in running:
            child.terminate()
        for child in running:
            child.wait(timeout=60)


def drain(count: int, stream_url: str, total: int) -> Drained:
    """Store what is in the topic with this many processes; timed from the first stored trade to the last."""
    metrics = Path(tempfile.mkdtemp(prefix="ck-metrics-"))
    try:
        with consumers(count, stream_url, metrics) as running:
            first = until("the first trade is stored", _stored, 120)
            began, before = time.perf_counter(), _used(running)
            until("every trade is stored", lambda: _stored() == total, TIMEOUT_S)
            seconds, after = time.perf_counter() - began, _used(running)
        cores = {name: (after[name] - before.get(name, 0.0)) / seconds for name in after}
        return Drained((total - first) / seconds, _parts(metrics), cores)
    finally:
        shutil.rmtree(metrics, ignore_errors=True)


def _stored() -> int:
    with connection.cursor() as cursor:
        cursor.execute("select coalesce(sum(trades), 0) from candle where resolution = 86400")
        return int(cursor.fetchone()[0])


def _used(running: list[psutil.Process]) -> dict[str, float]:
    """Return the CPU seconds so far of the consumers, the database and the broker."""
    used: dict[str, float] = defaultdict(float)
    ours = {process.pid for process in running}
    for process in psutil.process_iter(["pid", "name", "cpu_times"]):
        kinds = {"postgres": "database", "java": "broker", "valkey-server": "Valkey"}
        kind = "consumers" if process.pid in ours else kinds.get(process.info["name"])
        if kind and process.info["cpu_times"]:
            used[kind] += process.info["cpu_times"].user + process.info["cpu_times"].system
    return dict(used)


def _parts(metrics: Path) -> dict[str, float]:
    """Return the seconds that all consumers together spent in each part of their batches."""
    return {
        sample.labels["part"]: sample.value
        for metric in collect_counters(metrics)
        if metric.name == "candlekeep_batch_seconds"
        for sample in metric.samples
        if sample.name.endswith("_sum") and sample.labels["topic"] == TICK_DATA.name
    }


def run() -> list[str]:
    """Measure on a private Kafka and on Redis Streams."""
    from tests.support.kafka.server import private_kafka

    with private_kafka() as kafka:
        return measure(kafka.url)


def measure(kafka_url: str, total: int = TRADES, backlog: int = BACKLOG_TRADES) -> list[str]:
    """Measure Redis Streams with one process and Kafka with one, two and three, then a backlog on both."""
    ready = trades.messages(list(trades.records(trades.symbols(MARKETS), TRADES_PER_MINUTE, total)))
    lines = [f"{total:,} trades of {MARKETS} markets, {TICK_DATA.partitions} partitions on Kafka"]
    line, redis_rate = _measure_one("Redis Streams", settings.STREAM_URL, 1, ready, total)
    lines.append(line)
    for count in (1, 2, 3):
        line, rate = _measure_one("Kafka", kafka_url, count, ready, total)
        lines.append(f"{line}; {rate / redis_rate:.2f} of Redis Streams")
    del ready
    lines.append(f"a backlog of {backlog:,} trades")
    ready = trades.messages(list(trades.records(trades.symbols(MARKETS), TRADES_PER_MINUTE, backlog)))
    lines.append(_measure_one("Redis Streams", settings.STREAM_URL, 1, ready, backlog)[0])
    lines.append(_measure_one("Kafka", kafka_url, 2, ready, backlog)[0])
    return lines


def _measure_one(name: str, url: str, count: int, ready: list[Message], total: int) -> tuple[str, float]:
    """Return the line of one run, and its trades per second."""
    clear_database()
    published = publish(connect(url, settings.STREAM_MAXLEN, settings.KAFKA), ready)
    drained = drain(count, url, total)
    what = f"  {name}, {count} consumer{'s' if count > 1 else ''}"
    line = f"{what:<32}{drained.rate:>8,.0f} trades/s (published {published:,.0f}/s); {drained.line()}"
    return line, drained.rate
