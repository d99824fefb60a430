"""What a trade costs and how late it is while the same load comes of few markets and of many.

Records are written straight to the stream, so that what makes them costs little. Every market claims its time once a
second, as a busy feed does, and gap scans run beside the consumer as often as on the platform.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psutil
import redis
from django.conf import settings
from django.db import connection

from benchmarks.growth_parts import Counts
from benchmarks.ingest import clear_database
from benchmarks.trades import FEED, SECOND, symbols
from streaming.broker import Message, Publisher
from streaming.records import FeedOpened, Trade, Watermark, encode
from streaming.topics import TICK_DATA
from tests.support.polling import until

MARKETS = (3, 30, 100, 300, 1000)
TRADES_PER_S = 3000  # of all markets together
WARM_UP_S, MEASURED_S, TIMEOUT_S = 3.0, 12.0, 90.0
STEP_S = 0.02  # between two writes to the stream
GRACE_US = 5 * SECOND


@dataclass(slots=True)
class Load:
    """Trades of all markets in turn, each at the time at which it is written."""

    markets: list[str]
    publisher: Publisher
    sent: int = 0
    late_s: float = 0.0  # most that a write came after its time
    numbers: dict[str, int] = field(default_factory=dict)
    prices: random.Random = field(default_factory=lambda: random.Random(7))
    began_us: int = 0
    claimed_us: int = 0

    def open(self) -> None:
        """Begin the feed of every market."""
        self.began_us = self.claimed_us = now_us()
        start = self.began_us - SECOND
        opened = [FeedOpened(market=each, feed=FEED, n=1, connected=start, start=start) for each in self.markets]
        self.publisher.publish(TICK_DATA.name, [Message(one.market, encode(one)) for one in opened])
        self.numbers = dict.fromkeys(self.markets, 1)

    def run(self, seconds: float) -> None:
        """Write what is due, step by step, for so many seconds."""
        began, before = time.monotonic(), self.sent
        while (passed := time.monotonic() - began) < seconds:
            due = before + int(min(passed, seconds) * TRADES_PER_S)
            self.late_s = max(self.late_s, (due - self.sent) / TRADES_PER_S - STEP_S)
            messages = [self._trade() for _ in range(self.sent, due)]
            if (now := now_us()) - self.claimed_us >= SECOND:
                self.claimed_us = now
                messages += [self._claim(market, now) for market in self.markets]
            self.publisher.publish(TICK_DATA.name, messages)
            if self.claimed_us == now:
                self._acknowledge(now)
            time.sleep(max(0.0, STEP_S - (time.monotonic() - began - passed)))

    def _trade(self) -> Message:
        market, now = self.markets[self.sent % len(self.markets)], now_us()
        self.numbers[market] += 1
        self.sent += 1
        trade = Trade(
            market=market,
            feed=FEED,
            n=self.numbers[market],
            ts=now,
            seq=self.sent,
            id=str(10_000_000 + self.sent),
            price=Decimal(self.prices.randint(99_000, 101_000)) / 100,
            amount=Decimal(self.prices.randint(1, 10**7)) / 10**8,
            side=1,
            received_at=now,
        )
        return Message(market, encode(trade))

    def _claim(self, market: str, now: int) -> Message:
        self.numbers[market] += 1
        n, until_us = self.numbers[market], now - GRACE_US
        start = self.began_us - SECOND
        claim = Watermark(market=market, feed=FEED, n=n, start=start, until=max(until_us, start), seen=now)
        return Message(market, encode(claim))

    def _acknowledge(self, now: int) -> None:
        from datastore.coverage.feed_progress import Acknowledged, note_all_acknowledged
        from datastore.timeframes.intervals import moment

        note_all_acknowledged([Acknowledged(FEED, moment(now - GRACE_US), self.markets)])


def now_us() -> int:
    """Return the time in microseconds."""
    return time.time_ns() // 1000


@contextmanager
def part(name: str) -> Iterator[subprocess.Popen[str]]:
    """Run a part of benchmarks/growth_parts.py in a process of its own, which says when it is ready."""
    command = [sys.executable, "-m", "benchmarks.growth_parts", name]
    with subprocess.Popen(
        command, env=os.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=settings.BASE_DIR
    ) as child:
        assert child.stdout
        child.stdout.readline()
        try:
            yield child
        finally:
            child.communicate("end\n", timeout=60)


def ask(child: subprocess.Popen[str]) -> Any:
    """Return what a part has counted until now."""
    assert child.stdin and child.stdout
    child.stdin.write("counts\n")
    child.stdin.flush()
    return json.loads(child.stdout.readline())


def cpu_of_servers() -> dict[str, float]:
    """Return the CPU seconds so far: of each backend of the database by its process, and of the rest by name."""
    used: defaultdict[str, float] = defaultdict(float)
    for process in psutil.Process().children(recursive=True):
        times = process.cpu_times()
        program = process.name()
        if program.startswith("postgres"):
            used[f"backend {process.pid}"] += times.user + times.system
            used["postgres"] += times.user + times.system + times.children_user + times.children_system
        elif program.startswith("valkey"):
            used["valkey"] += times.user + times.system
    return used


def run() -> Iterator[str]:
    """Measure each number of markets; yield the lines to print."""
    yield f"{TRADES_PER_S:,} trades/s of all markets together, {MEASURED_S:.0f} s; CPU in microseconds a trade"
    costs = {}
    for count in MARKETS:
        costs[count], line = measure(count)
        yield f"{line}; {costs[count] / costs.get(30, costs[count]):.2f} of 30 markets"


def measure(count: int) -> tuple[float, str]:
    """Return the CPU of consumer, its backend and the cache in microseconds a trade, and the line of this many."""
    from actor_runtime.configured_broker import configured_broker
    from datastore.models import Market
    from datastore.reference.markets import ensure_markets
    from datastore.reference.provider_clock import keep_steady_time, save_clock, steady_now

    clear_database()
    redis.Redis.from_url(settings.REDIS_URL).flushall()
    with connection.cursor() as cursor:
        cursor.execute("truncate feed, gap_repair, coverage_change, fetch_request cascade")
    Market.objects.all().delete()
    ensure_markets(symbols(count))
    keep_steady_time()
    offset = timedelta(microseconds=now_us()) - timedelta(seconds=steady_now().timestamp())
    for provider in Market.objects.values_list("provider", flat=True).distinct():
        save_clock(provider, offset)
    broker = configured_broker()
    broker.admin().create_topic(TICK_DATA.name)
    load = Load(symbols(count), broker.publisher())
    load.open()

    with part("consume") as consumer, part("scan"):
        load.run(WARM_UP_S)
        before, servers_before, own_before, sent = Counts(**ask(consumer)), cpu_of_servers(), own_cpu(), load.sent
        load.run(MEASURED_S)
        after, servers, own = Counts(**ask(consumer)), cpu_of_servers(), own_cpu()
        waiting_s = (load.sent - stored()) / TRADES_PER_S
        until("every trade is stored", lambda: stored() == load.sent, TIMEOUT_S)

    made = load.sent - sent
    counted = after.since(before)
    backend = f"backend {after.backend}"
    spent = {name: (used - servers_before.get(name, 0.0)) / made * 1e6 for name, used in servers.items()}
    python = counted.cpu / made * 1e6
    cost = python + spent[backend] + spent["valkey"]
    others = spent["postgres"] - spent[backend]
    per_batch = {name: seconds / counted.batches * 1e3 for name, seconds in counted.seconds.items()}
    return cost, (
        f"  {count:>5} markets: {cost:5.0f} (consumer {python:.0f}, its backend {spent[backend]:.0f}, cache and stream"
        f" {spent['valkey']:.0f}), others in the database {others:.0f}, load {(own - own_before) / made * 1e6:.0f}"
        f" at most {load.late_s:.2f} s late;\n    a batch: {counted.records / counted.batches:,.0f} records,"
        f" {counted.statements / counted.batches:.1f} statements, "
        + ", ".join(f"{name} {ms:.0f}" for name, ms in per_batch.items())
        + f" ms; lag mean {counted.late / max(1, counted.late_batches):.2f} s, {waiting_s:.2f} s at the end"
    )


def own_cpu() -> float:
    """Return the CPU seconds of this process so far."""
    times = psutil.Process().cpu_times()
    return times.user + times.system


def stored() -> int:
    """Return how many trades are in the candles."""
    with connection.cursor() as cursor:
        cursor.execute("select coalesce(sum(trades), 0) from candle where resolution = 86400")
        return int(cursor.fetchone()[0])
