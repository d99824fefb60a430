"""Consumers of dynamic topics in one process: what one costs and what a hundred cost, busy and idle."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal

import psutil
from django.conf import settings
from django.db.models.functions import Now

from actor_runtime.configured_broker import configured_broker
from benchmarks.trades import SECOND
from datastore.models import DynamicTopic, Tick
from datastore.reference.markets import ensure_markets
from streaming.broker import Message
from streaming.records import FeedOpened, LiveRecord, Trade, Watermark, encode
from tests.support.polling import until

MANY_TOPICS = 100
RATE = 10  # trades a second of each topic
BUSY_S, IDLE_S = 20, 20  # measured
TIMEOUT_S = 60.0
MIB = 1 << 20
ORIGIN = int(time.time()) // 60 * 60 * SECOND
PRICE = Decimal("101.25")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process used."""

    busy: float  # of a core
    idle: float  # of a core
    memory: int  # bytes, after the busy time

    def line(self, topics: int) -> str:
        """Return the usage as a line."""
        return (
            f"{topics:>4} topics: {self.busy:6.1%} of a core at {RATE * topics:,} trades/s"
            f" ({self.busy / topics:.2%} per actor), {self.idle:.1%} idle, {self.memory / MIB:.0f} MiB"
        )


def run() -> list[str]:
    """Measure one topic, then a hundred."""
    one, many = measure(0, 1), measure(1, MANY_TOPICS)
    return [
        "consumers of dynamic topics in one process",
        f"  {one.line(1)}",
        f"  {many.line(MANY_TOPICS)}: {many.memory / one.memory:.2f} times the memory (target 1.5), idle target 5%",
    ]


def measure(first: int, count: int) -> Usage:
    """Let one process consume this many topics, busy and then idle."""

    symbols = [f"coinbase:Y{number:03}-USD" for number in range(first, first + count)]
    admin = configured_broker().admin()
    rows = []
    for market in ensure_markets(symbols):
        name = f"dyn-coinbase-{market.base}-{market.quote}-g{market.pk}"
        admin.create_topic(name)
        state = DynamicTopic.State.NOTIFYING
        rows.append(DynamicTopic(name=name, market=market, state=state, requested_at=Now(), created_at=Now()))
    topics = DynamicTopic.objects.bulk_create(rows)

    with _process() as process:
        names = [topic.name for topic in topics]
        mine = DynamicTopic.objects.filter(name__in=names)
        until("all topics are consumed", lambda: mine.filter(subscribed_at=None).count() == 0, TIMEOUT_S)
        _trade(topics, 0, 3)  # the first batches import modules and prepare statements
        began, used = time.monotonic(), _cpu(process)
        _trade(topics, 3, 3 + BUSY_S)
        busy = (_cpu(process) - used) / (time.monotonic() - began)
        expected = (3 + BUSY_S) * RATE * count
        until(
            "every trade is stored",
            lambda: Tick.objects.filter(market__in=[topic.market_id for topic in topics]).count() == expected,
            TIMEOUT_S,
        )
        memory = process.memory_info().rss
        began, used = time.monotonic(), _cpu(process)
        time.sleep(IDLE_S)
        idle = (_cpu(process) - used) / (time.monotonic() - began)
    mine.update(state=DynamicTopic.State.RETIRED)
    return Usage(busy, idle, memory)


@contextmanager
def _process() -> Iterator[psutil.Process]:
    child = subprocess.Popen(
        [sys.executable, str(settings.BASE_DIR / "manage.py"), "run_dynamic_consumer"], env=os.environ
    )
    try:
        yield psutil.Process(child.pid)
    finally:
        child.terminate()
        child.wait(timeout=TIMEOUT_S)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _trade(topics: list[DynamicTopic], start: int, stop: int) -> None:
    """Publish the trades of these seconds to each topic, one by one in real time."""
    publisher = configured_broker().publisher()
    began = time.monotonic()
    for step in range((stop - start) * RATE):
        for place, topic in enumerate(topics):
            due = began + (step + place / len(topics)) / RATE
            time.sleep(max(0.0, due - time.monotonic()))
            records = _records(topic, start * RATE + step)
            publisher.publish(topic.name, [Message(record.market, encode(record)) for record in records])
    publisher.close()


def _records(topic: DynamicTopic, index: int) -> list[LiveRecord]:
    """Return one trade, with a watermark once a second, and first of all the opening of the feed."""
    market, feed = topic.market.symbol, f"{topic.name}/one"
    now, n = ORIGIN + index * SECOND // RATE, index + index // RATE + 2
    records: list[LiveRecord] = []
    if index == 0:
        records.append(FeedOpened(market=market, feed=feed, n=1, connected=ORIGIN - SECOND, start=ORIGIN, replayed=()))
    records.append(
        Trade(
            market=market,
            feed=feed,
            n=n,
            ts=now,
            seq=index,
            id=str(index),
            price=PRICE,
            amount=PRICE,
            side=0,
            received_at=now,
        )
    )
    if index % RATE == RATE - 1:
        records.append(Watermark(market=market, feed=feed, n=n + 1, start=ORIGIN, until=now - SECOND, seen=now))
    return records
