"""A backfill of a year through kills, and through a Valkey that forgets and stays away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from tests.support.e2e.http_client import KEPT, LONG_MEMORY, SECOND, THIRD, HistoryClient
from tests.support.e2e.platform import Platform
from tests.support.e2e.provider import repeated, theirs
from tests.support.e2e.series import expect_same
from tests.support.polling import PATIENT_S, until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(7200)]
VICTIMS = ("worker", "coordinator", "candle-consumer", "web")
OUTAGE = 60.0  # seconds
STREAMS = {"tick-data", "candle-data"}


@pytest.fixture(scope="module")
def platform(home: Path) -> Iterator[Platform]:
    """Run Candlekeep once for all tests of this module."""
    with Platform(home, LONG_MEMORY) as running:
        yield running


def test_kills_in_the_middle_of_a_backfill_cost_a_page_each_at_the_most_and_it_ends_whole(platform: Platform) -> None:
    client = HistoryClient(platform, SECOND)
    client.ask()
    for number, victim in enumerate(VICTIMS):
        until("some pages", lambda n=number: client.pages_done() >= (n + 1) * client.page_count // 6, 120)
        dead = platform.kill(victim)
        until(f"{victim} again", lambda name=victim, pid=dead: platform.back(name, pid) and platform.ready(), 60)
    until("the year", client.is_over, 180, longest_pause=PATIENT_S)
    made = client.pages()
    assert client.page_count <= len(made) <= client.page_count + len(VICTIMS), repeated(made)
    assert all(times <= 1 for times in repeated(made).values())
    client.expect_whole()


def groups(platform: Platform) -> set[str]:
    """Return the topics whose stream has its consumer group."""
    with platform.valkey() as valkey:
        keys = [key.decode() for key in valkey.scan_iter("*", _type="stream")]
        return {topic for topic in STREAMS for key in keys if topic in key and valkey.xinfo_groups(key)}


def closed_rows(platform: Platform, since: int) -> dict[int, list[object]]:
    """Return the closed minutes of the kept market since a time (ms)."""
    body = platform.candles(KEPT, **{"from": since, "wait": 0})
    return {row[0]: row for row in body["candles"] if row[9] and row[8] in ("live", "provider")}


def test_a_valkey_that_forgets_everything_and_stays_away_costs_time_and_nothing_else(platform: Platform) -> None:
    since = int(until("a live feed", lambda: platform.candles(KEPT, limit=1)["watermark"], 90)) // 60_000 * 60_000
    until("a closed minute, to be seen unharmed", lambda: closed_rows(platform, since), 200)
    client = HistoryClient(platform, THIRD)
    client.ask()
    until("some pages", lambda: client.pages_done() >= client.page_count // 5, 120)
    with platform.valkey() as valkey:
        valkey.flushall()
    until("queues and streams are made again", lambda: groups(platform) == STREAMS, 60)
    flushed = client.pages_done()
    until("it goes on", lambda: client.pages_done() > flushed + 2, 90)
    seen: dict[int, list[object]] = {}
    outage = Thread(target=platform.keep_down, args=("valkey", OUTAGE))
    outage.start()
    while outage.is_alive():
        seen |= closed_rows(platform, since)
        status, body = client.ask()
        assert status in (200, 202)
        assert body["request"]
        outage.join(1)
    until("all is well", platform.ready, 90)
    until("queues and streams are there", lambda: groups(platform) == STREAMS, 90)
    until("the year", client.is_over, 300, longest_pause=PATIENT_S)
    client.expect_whole()
    until("live minutes again", lambda: whole_since(platform, since), 240)
    rows = closed_rows(platform, since)
    assert seen
    assert {at: row[1:7] for at, row in seen.items() if rows[at][8] == row[8]}.items() <= {
        at: row[1:7] for at, row in rows.items()
    }.items()
    expected = theirs(platform, KEPT, "minute", since // 1000, max(rows) // 1000)
    for at, row in rows.items():
        if at + 120_000 < platform.provider_now() * 1000:
            expect_same(list(row), expected[at // 1000])


def whole_since(platform: Platform, since: int) -> bool:
    """Return whether nothing is missing since a time (ms), and the feed is known up to the last minutes."""
    body = platform.candles(KEPT, **{"from": since, "wait": 0})
    return bool(body["complete"]) and body["watermark"] > platform.provider_now() * 1000 - 60_000
