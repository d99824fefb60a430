"""Consumers of dynamic topics in one process: what one costs and what a hundred cost, at work and at rest."""

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

MANY = 100
RATE = 10  # trades a second of each topic
WORKED, RESTED = 20, 20  # seconds measured
PATIENCE = 60.0
MIB = 1 << 20
ORIGIN = int(time.time()) // 60 * 60 * SECOND
PRICE = Decimal("101.25")


@dataclass(frozen=True, slots=True)
class Figures:
    """What a process took."""

    working: float  # of a core
    resting: float
    memory: int  # bytes, when it had worked

    def told(self, topics: int) -> str:
        """Return the figures in a line."""
        return (
            f"{topics:>4} topics: {self.working:6.1%} of a core at {RATE * topics:,} trades/s"
            f" ({self.working / topics:.2%} per actor), {self.resting:.1%} at rest, {self.memory / MIB:.0f} MiB"
        )


def run() -> list[str]:
    """Measure one topic, then a hundred."""
    one, many = measure(0, 1), measure(1, MANY)
    return [
        "consumers of dynamic topics in one process",
        f"  {one.told(1)}",
        f"  {many.told(MANY)}: {many.memory / one.memory:.2f} times the memory (target 1.5), at rest target 5%",
    ]


def measure(first: int, count: int) -> Figures:
    """Let one process read this many topics of its own, at work and then at rest."""
    topics = _topics(first, count)
    with _process() as process:
        names = [topic.name for topic in topics]
        mine = DynamicTopic.objects.filter(name__in=names)
        until("all are read", lambda: mine.filter(subscribed_at=None).count() == 0, PATIENCE)
        _trade(topics, 0, 3)  # the first batches import and prepare
        began, used = time.monotonic(), _cpu(process)
        _trade(topics, 3, 3 + WORKED)
        working = (_cpu(process) - used) / (time.monotonic() - began)
        wanted = (3 + WORKED) * RATE * count
        until(
            "all is stored",
            lambda: Tick.objects.filter(market__in=[topic.market_id for topic in topics]).count() == wanted,
            PATIENCE,
        )
        memory = process.memory_info().rss
        began, used = time.monotonic(), _cpu(process)
        time.sleep(RESTED)
        resting = (_cpu(process) - used) / (time.monotonic() - began)
    mine.update(state=DynamicTopic.State.RETIRED)
    return Figures(working, resting, memory)


def _topics(first: int, count: int) -> list[DynamicTopic]:
    symbols = [f"coinbase:Y{number:03}-USD" for number in range(first, first + count)]
    admin = configured_broker().admin()
    rows = []
    for market in ensure_markets(symbols):
        name = f"dyn-coinbase-{market.base}-{market.quote}-g{market.pk}"
        admin.create_topic(name)
        state = DynamicTopic.State.NOTIFYING
        rows.append(DynamicTopic(name=name, market=market, state=state, requested_at=Now(), created_at=Now()))
    return DynamicTopic.objects.bulk_create(rows)


@contextmanager
def _process() -> Iterator[psutil.Process]:
    child = subprocess.Popen(
        [sys.executable, str(settings.BASE_DIR / "manage.py"), "run_dynamic_consumer"], env=os.environ
    )
    try:
        yield psutil.Process(child.pid)
    finally:
        child.terminate()
        child.wait(timeout=PATIENCE)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _trade(topics: list[DynamicTopic], start: int, stop: int) -> None:
    """Publish what each topic's route brings in these seconds, trade by trade as they would come."""
    publisher = configured_broker().publisher()
    began = time.monotonic()
    for step in range((stop - start) * RATE):
        for place, topic in enumerate(topics):
            due = began + (step + place / len(topics)) / RATE
            time.sleep(max(0.0, due - time.monotonic()))
            found = _records(topic, start * RATE + step)
            publisher.publish(topic.name, [Message(record.market, encode(record)) for record in found])
    publisher.close()


def _records(topic: DynamicTopic, index: int) -> list[LiveRecord]:
    """Return one trade, once a second with a claim, at the beginning with the opening of the feed."""
    market, feed = topic.market.symbol, f"{topic.name}/one"
    now, n = ORIGIN + index * SECOND // RATE, index + index // RATE + 2
    found: list[LiveRecord] = []
    if index == 0:
        found.append(FeedOpened(market=market, feed=feed, n=1, connected=ORIGIN - SECOND, start=ORIGIN, replayed=()))
    found.append(
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
        found.append(Watermark(market=market, feed=feed, n=n + 1, start=ORIGIN, until=now - SECOND, seen=now))
    return found
