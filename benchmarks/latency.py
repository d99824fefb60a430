"""A trade leaves the provider -> it is visible through the API and to a follower, stage by stage, at 1,000 trades/s.

The provider is cheap_provider.py, so that the machine is left to what is measured: Producer and consumer
(latency_parts.py), PostgreSQL, Valkey, the web and the stream process, as the platform runs them. One market of twenty
is watched. RATE and SECONDS in the environment set how many trades a second come, and how long is measured.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil
from django.conf import settings
from django.db import connection

from benchmarks.peer_servers import cpu_of, own_child, postgres_process
from benchmarks.sse import ticket_path
from benchmarks.trades import symbols
from benchmarks.venue_feed import prepare_database
from benchmarks.year import web_process
from config.supervision.embedded_servers import free_port
from datastore.models import Market
from tests.support.polling import until

MARKETS = symbols(20)
WATCHED = MARKETS[0]
RATE = int(os.environ.get("RATE", "1000"))  # trades a second of all markets
WARM_UP_S, SECONDS = 8.0, float(os.environ.get("SECONDS", "30"))
POLL_INTERVAL_S = 0.005  # what the API shows is seen so much later at most, and by the time of one answer
SHOWN = re.compile(rb'\[(\d{13}),(?:"[^"]*",){6}(\d+),')  # a candle: its time in ms, and how many trades it holds
STAGES = ("received", "in the stream", "read", "in the database", "in the cache")
TARGETS = {"visible through the API": (40, 150), "at the follower": (50, 160)}  # p50 and p99 in ms

Shown = list[tuple[int, int, int]]  # when (ns) it was seen that the candle of a minute (ms) holds so many trades


@dataclass(slots=True)
class Child:
    """A process of this benchmark and what it will print at its end."""

    process: subprocess.Popen[str]

    def line(self) -> str:
        """Return the next line that it prints."""
        assert self.process.stdout
        return self.process.stdout.readline()

    def finish(self) -> Any:
        """End it, and return what it found."""
        return json.loads(self.process.communicate("end\n", timeout=60)[0].splitlines()[-1])


@dataclass(slots=True)
class Watch:
    """What two threads see of the watched market until they are stopped."""

    api: Shown = field(default_factory=list)
    follower: Shown = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def poll(self, port: int) -> None:
        """Ask for the newest candle again and again."""
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            while not self.stop.wait(POLL_INTERVAL_S):
                answer = client.get("/api/v1/candles", params={"market": WATCHED, "timeframe": "1m", "limit": "1"})
                _note(self.api, answer.raise_for_status().content)

    def follow(self, port: int, path: str) -> None:
        """Follow the series."""
        with httpx.stream("GET", f"http://127.0.0.1:{port}{path}", timeout=30) as events:
            for data in events.iter_raw():
                if self.stop.is_set():
                    return
                _note(self.follower, data)


def _note(shown: Shown, text: bytes) -> None:
    now = time.time_ns()
    for minute, count in SHOWN.findall(text):
        one = int(minute), int(count)
        if not shown or shown[-1][1:] < one:
            shown.append((now, *one))


def run() -> Iterator[str]:
    """Measure; Django must be set up on private servers."""
    settings.PROVIDERS = ["cryptocompare"]
    prepare_database("cryptocompare", MARKETS)
    watch = Watch()
    with ExitStack() as stack:
        web_port, web = stack.enter_context(web_process({"RATE_LIMIT_PER_ADDRESS": "6000000"}))
        sse_port = free_port()
        sse = stack.enter_context(_sse_process(sse_port))
        provider = stack.enter_context(_child("benchmarks.cheap_provider", str(RATE), *MARKETS))
        address = {"CRYPTOCOMPARE_WS_URL": f"ws://127.0.0.1:{int(provider.line())}"}
        env = {**address, "CRYPTOCOMPARE_REST_URL": "http://127.0.0.1:1", "PROVIDERS": "cryptocompare"}
        consumer = stack.enter_context(_child("benchmarks.latency_parts", "consume", WATCHED, env=env))
        producer = stack.enter_context(_child("benchmarks.latency_parts", "produce", WATCHED, env=env))
        until("trades are stored", lambda: _stored() > RATE, 60)
        path = ticket_path(Market.objects.get(symbol=WATCHED), limit=2)
        threads = [
            threading.Thread(target=watch.poll, args=[web_port]),
            threading.Thread(target=watch.follow, args=[sse_port, path]),
        ]
        for thread in threads:
            thread.start()
        time.sleep(WARM_UP_S)

        roots = {
            "producer": psutil.Process(producer.process.pid),
            "stream": own_child("valkey-server"),
            "consumer": psutil.Process(consumer.process.pid),
            "database": postgres_process(),
            "web": psutil.Process(web),
            "stream process": psutil.Process(sse),
            "the provider": psutil.Process(provider.process.pid),
        }
        began, before = time.time_ns(), {name: cpu_of(root) for name, root in roots.items()}
        time.sleep(SECONDS)
        ended, cpu = time.time_ns(), {name: cpu_of(root) - before[name] for name, root in roots.items()}
        sent = {int(trade): at for trade, at in provider.finish().items()}
        watch.stop.set()
        noted = {**producer.finish(), **consumer.finish()}
    yield from report(sent, noted, watch, (began, ended))
    cores = ", ".join(f"{name} {used / SECONDS:.2f}" for name, used in cpu.items())
    yield f"  cores in use: {cores}; all but the provider {(sum(cpu.values()) - cpu['the provider']) / SECONDS:.2f}"


def report(
    sent: dict[int, int], noted: dict[str, list[tuple[int, int]]], watch: Watch, span: tuple[int, int]
) -> Iterator[str]:
    """Yield the table: of each stage the time since the trade was sent, and since the stage before."""
    timed = {trade: at for trade, at in sent.items() if span[0] <= at < span[1]}
    passed = {stage: _first_passed(noted[stage], timed) for stage in STAGES}
    passed["visible through the API"] = _first_shown(watch.api, sent, timed)
    passed["at the follower"] = _first_shown(watch.follower, sent, timed)
    seen = [trade for trade in timed if all(trade in times for times in passed.values())]
    yield f"trade sent -> visible: {RATE:,} trades/s of {len(MARKETS)} markets, {len(seen):,} of one timed; in ms"
    yield f"  {'':<26}{'since sent':>18}{'since the stage before':>26}"
    before = timed
    for stage, times in passed.items():
        whole, step = (
            _percentiles([(times[trade] - since[trade]) / 1e6 for trade in seen]) for since in (timed, before)
        )
        target = TARGETS.get(stage)
        note = f" (target {target[0]} and {target[1]})" if target else ""
        yield f"  {stage:<26}{f'{whole[0]:.0f}, p99 {whole[1]:.0f}':>18}{f'{step[0]:.0f}, p99 {step[1]:.0f}':>26}{note}"
        if stage in STAGES:  # who asks and who follows both begin at the cache
            before = times


def _percentiles(values: Sequence[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(values, n=100)
    return cuts[49], cuts[98]


def _first_passed(noted: Sequence[tuple[int, int]], timed: dict[int, int]) -> dict[int, int]:
    """Return when each trade had passed a stage: ids are noted in their order."""
    times, ids = zip(*noted, strict=True)
    places = {trade: bisect_left(ids, trade) for trade in timed}
    return {trade: times[place] for trade, place in places.items() if place < len(ids)}


def _first_shown(shown: Shown, sent: dict[int, int], timed: dict[int, int]) -> dict[int, int]:
    """Return when each trade was first shown: it is the so-manieth of its minute."""
    states = [(minute, count) for _, minute, count in shown]
    counts: dict[int, int] = {}
    found = {}
    for trade, at in sorted(sent.items()):
        minute = at // 60_000_000_000 * 60_000
        counts[minute] = counts.get(minute, 0) + 1
        place = bisect_left(states, (minute, counts[minute]))
        if trade in timed and place < len(states):
            found[trade] = shown[place][0]
    return found


@contextmanager
def _child(module: str, *arguments: str, env: dict[str, str] | None = None) -> Iterator[Child]:
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, **(env or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Child(process)
    finally:
        process.terminate()
        process.wait(timeout=60)


@contextmanager
def _sse_process(port: int) -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "manage.py", "run_sse"], env={**os.environ, "SSE_PORT": str(port)})
    try:
        until("the stream process listens", lambda: _listens(port), 60)
        yield process.pid
    finally:
        process.terminate()
        process.wait(timeout=30)


def _listens(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/live").status_code == 200
    except httpx.TransportError:
        return False


def _stored() -> int:
    with connection.cursor() as cursor:
        cursor.execute("select coalesce(sum(trades), 0) from candle where resolution = 86400")
        return int(cursor.fetchone()[0])
