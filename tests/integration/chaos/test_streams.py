"""Readers of streams under kills of web, sse and consumer, who besides lose their connections at random."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.e2e.platform import Platform
from tests.support.polling import until
from tests.support.sse.event_log import ClientSeries
from tests.support.sse.server import Watcher

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(7200)]
MARKETS = ("coinbase:BTC-USD", "kraken:BTC-EUR")
FRAMES = ("1m", "5m", "1h", "1M")
VICTIMS = ("sse", "web", "fixed-consumer", "candle-consumer")
ROUNDS = int(os.environ.get("ROUNDS", "20")) // 4 or 1
SEED = int(os.environ.get("CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
RECOVERY = 90.0  # seconds


@pytest.fixture(scope="module")
def platform(home: Path) -> Iterator[Platform]:
    """Run Candlekeep once for all tests of this module."""
    env = {"SIMULATOR_ARGS": "--rate 20", "MARKETS": ",".join(MARKETS), "RATE_LIMIT_PER_ADDRESS": "0"}
    with Platform(home, env) as running:
        until("a feed of each", lambda: all(feed_of(running, market) == "live" for market in MARKETS), RECOVERY)
        yield running


def feed_of(platform: Platform, market: str) -> str:
    return str(platform.api(f"markets/{market}").json()["feed"])


def differs(platform: Platform, watcher: Watcher) -> dict[int, Any]:
    """Return the rows in which a series and GET candles are not the same; both move on while they are compared."""
    market, timeframe = watcher.query["market"], watcher.query["timeframe"]
    answer = platform.candles(market, timeframe, limit=300, wait=0)
    since = max(watcher.series.since, answer["coverage"][0]["from"])
    ours = {at: row for at, row in watcher.series.rows.items() if at >= since}
    theirs = {row[0]: row for row in answer["candles"] if row[0] >= since}
    return {at: (ours.get(at), theirs.get(at)) for at in {*ours, *theirs} if ours.get(at) != theirs.get(at)}


def agrees(platform: Platform, watcher: Watcher) -> bool:
    """Return whether they are the same but for the bucket that still runs, which changes while it is looked at."""
    if watcher.failures:
        return True
    try:
        left = differs(platform, watcher)
        newest = max(watcher.series.rows, default=0)
        return {at for at in left if at != newest} == set() and bool(watcher.series.rows)
    except (httpx.HTTPError, RuntimeError):  # the series was written in meanwhile
        return False


def test_readers_have_what_the_database_has_whoever_is_killed_and_however_often_they_come_back(
    platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    order = random.Random(SEED)
    base = f"http://127.0.0.1:{platform.port}"
    with ExitStack() as following:
        watchers = [
            following.enter_context(Watcher(base, frame, market, random.Random(SEED + number), limit="300"))
            for number, (market, frame) in enumerate((market, frame) for market in MARKETS for frame in FRAMES * 2)
        ]
        until("all are there", lambda: all(one.connections for one in watchers), RECOVERY)
        for victim in order.sample(VICTIMS * ROUNDS, len(VICTIMS) * ROUNDS):
            dead = platform.kill(victim)
            until(f"{victim} again", lambda name=victim, pid=dead: platform.back(name, pid), RECOVERY)
            time.sleep(order.random() * 3)  # the next one comes when it comes
        until("all is well", platform.ready, RECOVERY)
        for one in watchers:
            one.order = None  # from the next connection on they stay
        before = [one.series.watermark or 0 for one in watchers]
        for one, watermark in zip(watchers, before, strict=True):
            until("it goes on", lambda one=one, known=watermark: one.failures or moved(one.series, known), RECOVERY)
            until("the series is what the API shows", lambda one=one: agrees(platform, one), RECOVERY)
        with capsys.disabled():
            events, came = sum(len(one.told) for one in watchers), sum(one.connections for one in watchers)
            print(f"\n{len(VICTIMS) * ROUNDS} kills, {came} connections, {events:,} events, CHAOS_SEED={SEED}")
        assert [one.failures for one in watchers if one.failures] == []
        assert [one.series.snapshots for one in watchers] == [[None]] * len(watchers), "someone lost its place"


def moved(series: ClientSeries, watermark: int) -> bool:
    """Return whether a series has come further than this."""
    return (series.watermark or 0) > watermark + 60_000
