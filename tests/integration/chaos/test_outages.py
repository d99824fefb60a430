"""PostgreSQL and Valkey frozen, kept from starting, and emptied: waiting with a reason, recovery, nothing lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.support.chaos.known_markets import MARKETS, RATE, RECOVERY, evidence_since_start, known_at, settings_of
from tests.support.chaos.verify import MINUTE, SECOND, Evidence, Span, faults, holes, subtracted, touched
from tests.support.e2e.platform import Platform
from tests.support.polling import until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(7200)]
OUTAGE = 20.0  # seconds
TROUBLED = """
select name, coalesce(waiting_for, last_error) from ingestion_producer where waiting_for is not null or state = 'error'
union all
select name, coalesce(waiting_for, last_error) from consumers_fixedtopicconsumer
 where waiting_for is not null or state = 'error'
"""


ENDS = """
select c.reason from coverage c join market m on m.id = c.market_id
 where m.symbol = %s and c.source = 'live' and c.feed not like 'seq/%%' and c.stop >= to_timestamp(%s)
"""


@pytest.fixture(scope="module")
def platform(home: Path) -> Iterator[Platform]:
    """Run Candlekeep once for all tests of this module."""
    with Platform(home, settings_of(RATE)) as running:
        begun = time.time() + 3  # a span begins a second after its subscription
        until("the feed", lambda: known_at(running, begun), RECOVERY)
        yield running


def settled(platform: Platform) -> float:
    """Wait until all trades of up to now are known; return that time in the provider's seconds."""
    at = time.time()
    until("all is known", lambda: platform.ready() and known_at(platform, at), RECOVERY)
    return at


def judged(platform: Platform, before: float) -> list[Evidence]:
    """Wait until the minute of the recovery is over; return the evidence since the start, found without fault."""
    end = (settled(platform) // 60 + 1) * 60
    until("the minute is over", lambda: known_at(platform, end), 70 + RECOVERY)
    found = [evidence_since_start(platform, market) for market in MARKETS]
    assert [fault for each in found for fault in faults(each)] == []
    assert all(each.looked_at.start < before * SECOND for each in found)
    return found


def expect_no_hole_since(found: list[Evidence], before: float) -> None:
    """Find no instant after `before` that is not proven live: the socket was up all the time."""
    for each in found:
        since = Span(round(before * SECOND), each.looked_at.stop)
        assert subtracted([since], each.live_spans) == []


def feeds(platform: Platform) -> int:
    """Count the connections that the simulator took."""
    return sum('"event":"opened"' in line for line in platform.sent())


@pytest.mark.parametrize("how", ["frozen", "kept down"])
def test_without_a_database_actors_wait_and_say_why_and_nothing_is_lost(platform: Platform, how: str) -> None:
    before, connections, lines = settled(platform), feeds(platform), len(platform.lines)
    strike(platform, "postgres", how, lambda: None)
    found = judged(platform, before)
    expect_no_hole_since(found, before)
    assert feeds(platform) == connections, "the socket was given up"
    said = [line for line in platform.lines[lines:] if "database away" in line]
    assert {actor for line in said for actor in ("producer-live-1", "fixed-tick-1") if actor in line} == {
        "producer-live-1",
        "fixed-tick-1",
    }
    assert all("reason=" in line for line in said)
    assert platform.rows(TROUBLED) == []


@pytest.mark.parametrize("how", ["frozen", "kept down"])
def test_without_the_stream_actors_wait_or_fail_with_the_reason_and_nothing_is_lost(
    platform: Platform, how: str
) -> None:
    before, connections = settled(platform), feeds(platform)
    seen: dict[str, str] = {}
    strike(platform, "valkey", how, lambda: seen.update(platform.rows(TROUBLED)))
    found = judged(platform, before)
    expect_no_hole_since(found, before)
    assert feeds(platform) == connections, "the socket was given up"
    assert set(seen) == {"producer-live-1", "fixed-tick-1"}
    assert all(seen.values())
    assert platform.rows(TROUBLED) == []


def strike(platform: Platform, name: str, how: str, watch: Callable[[], object]) -> None:
    """Freeze or keep down a server for the outage; watch() is called at its end."""
    if how == "frozen":
        with platform.frozen(name):
            until("the outage is over", passed(OUTAGE), OUTAGE + 5)
            watch()
    else:
        assert platform.keep_down(name, OUTAGE) >= 2
        watch()


def passed(seconds: float) -> Callable[[], bool]:
    """Return a question that is true once so many seconds have passed."""
    deadline = time.monotonic() + seconds
    return lambda: time.monotonic() >= deadline


def test_the_api_says_503_while_the_database_is_frozen(platform: Platform) -> None:
    settled(platform)
    with platform.frozen("postgres"):
        answer = until("an answer", lambda: asked(platform), 40)
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"]
    settled(platform)


def asked(platform: Platform) -> httpx.Response | None:
    """Ask for candles; None where the answer takes too long."""
    try:
        return platform.api("candles", market=MARKETS[0], timeframe="1m")
    except httpx.TimeoutException:
        return None


def test_a_flushed_stream_is_made_anew_and_its_lost_records_are_named_and_fetched_again(platform: Platform) -> None:
    before = settled(platform)
    with platform.frozen("fixed-consumer"):
        # So that records lie in the stream when it is emptied.
        until("records lie in the stream", passed(3), 10)
        with platform.valkey() as client:
            client.flushall()
    until("the group is there again", lambda: grouped(platform), RECOVERY)
    end = (time.time() // 60 + 3) * 60
    until("the feed goes on", lambda: known_at(platform, end), 190 + RECOVERY)
    for market in MARKETS:
        expect_named_loss(platform, market, before)


def expect_named_loss(platform: Platform, market: str, before: float) -> None:
    """Find one break around the flush whose reason is the stream's loss, filled by the provider, and no other fault."""
    evidence = evidence_since_start(platform, market)
    around = Span(round((before - 10) * SECOND), round((before + 60) * SECOND))
    excused = replace(evidence, log=replace(evidence.log, garbage=[*evidence.log.garbage, (around.stop, "text", "")]))
    excused = replace(excused, grace=evidence.grace + around.stop - around.start)
    assert faults(excused) == []
    assert [span for span in holes(evidence) if touched(span, [around])]
    reasons = {reason for (reason,) in platform.rows(ENDS, market, around.start / SECOND)}
    assert any((reason or "").startswith("stream lost ") for reason in reasons), reasons
    assert evidence.looked_at.stop > around.start + MINUTE
    asked = {"from": around.start // 1000 // 60_000 * 60_000, "to": around.stop // 1000}
    until("it is fetched again", lambda: platform.candles(market, **asked, wait=0)["complete"], 2 * RECOVERY)


def grouped(platform: Platform) -> bool:
    """Return whether the topic's stream has its consumer group."""
    with platform.valkey() as client:
        streams = list(client.scan_iter("*", _type="stream"))
        return any(client.xinfo_groups(key) for key in streams)
