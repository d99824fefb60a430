"""One `up` at twenty times the speed: from the provider's trades to exact candles, through what may go wrong.

A minute of the provider takes 3 s here. With CANDLEKEEP_REPLAY=FILE one of the markets replays recorded trades.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.chaos.collect import evidence_on, made_of_file, span_since
from tests.support.chaos.verify import (
    MINUTE,
    SECOND,
    Evidence,
    Span,
    broken,
    faults,
    holes,
    live_buckets,
    touched,
)
from tests.support.config.monitoring_files import expressions, rules
from tests.support.e2e.live_minutes import (
    BTC,
    ETH,
    REPLAYED,
    SPEED,
    expect_same,
    judged,
    known_for,
    now,
    settled,
    subscriptions,
)
from tests.support.e2e.platform import ROOT, Platform
from tests.support.e2e.prometheus import prometheus
from tests.support.polling import PATIENT_S, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
REPLAY = os.environ.get("CANDLEKEEP_REPLAY", "")
PRODUCER = "producer-live-1"
STATE = "select state, last_error, reset_at, heartbeat_at from ingestion_producer where name = %s"


@pytest.fixture(scope="module")
def platform(home: Path) -> Iterator[Platform]:
    """Run Candlekeep once for all tests of this module; Ctrl-C at the end must leave no process."""
    arguments = f"--speed {SPEED}"
    if REPLAY:
        arguments += f" --replay {Path(REPLAY).absolute()} --replay-market {REPLAYED} --replay-lead 60"
    env = {"SIMULATOR_ARGS": arguments, "STALE_AFTER": str(90 * SPEED), "MARKETS": f"{BTC},{ETH},{REPLAYED}"}
    with Platform(home, env) as running:
        yield running


@pytest.fixture(autouse=True)
def healed(platform: Platform) -> Iterator[None]:
    """End what a test asked for, so that one that fails does not spoil the next."""
    yield
    platform.control("reset")


def test_a_real_prometheus_reads_it_and_answers_all_that_dashboards_and_alerts_ask(
    platform: Platform, tmp_path: Path
) -> None:
    with prometheus(tmp_path, f"127.0.0.1:{platform.port}") as asked:
        until("what is counted was scraped", lambda: asked.ask("candlekeep_trades_stored_total > 0"), 60)
        for expression in expressions():
            asked.ask(expression)  # whatever it finds, it is one that Prometheus can compute
        until("the alerts were computed", lambda: {rule["health"] for rule in asked.rules()} == {"ok"}, 30)
        assert len(asked.rules()) == len(rules())
        ages = asked.ask("candlekeep_feed_age_seconds")
        assert {one["metric"]["market"] for one in ages} == {BTC, ETH, REPLAYED}
        for name in ("actor_state", "actor_heartbeat_age_seconds", "provider_budget_left", "consumer_lag_records"):
            assert asked.ask(f"candlekeep_{name}"), name


def test_the_readmes_curl_answers_with_candles_and_their_certificate(platform: Platform) -> None:
    asked = re.search(r"curl '127\.0\.0\.1:8000(/api/v1/candles[^']*)'", (ROOT / "README.md").read_text())
    assert asked
    until("candles", lambda: platform.http.get(asked[1]).status_code == 200, 60)
    body = platform.http.get(asked[1]).json()
    assert body["simulated"] is True
    assert body["provider"].startswith("simulator/")
    assert body["columns"][:2] == ["time", "open"]
    assert {"from", "to", "state", "proof", "quiet", "reason", "code", "repair"} == set(body["coverage"][0])


@pytest.mark.parametrize("market", [BTC, ETH])
def test_closed_live_minutes_are_the_providers_own_candles_and_the_logs_count(platform: Platform, market: str) -> None:
    first = until("a subscription", lambda: subscriptions(platform, market), 30)[0]
    evidence, live = until("two live minutes", lambda: settled(platform, market, first), 60, longest_pause=PATIENT_S)
    theirs = platform.provider_candles(market, live[-1] // SECOND, (live[-1] - first) // MINUTE + 2)
    for at in live:
        expect_same(evidence, at, theirs[at // SECOND], theirs[at // SECOND - 60])
    starting = [segment for segment in evidence.segments if segment.start <= first < segment.stop]
    # Partial until the provider's own candle of that minute is final and fetched.
    assert [segment.state for segment in starting] in (["partial"], ["provider"])


def test_a_garbage_frame_becomes_a_dead_letter_and_the_feed_goes_on(platform: Platform) -> None:
    at = known_for(platform, 1, now(platform))  # so a socket is open that the frame can go to
    frame = platform.control("garbage", kind="text")["frame"].encode()
    letters = "select reason from dead_letter where raw = %s and topic = 'tick-data'"
    assert until("a dead letter", lambda: platform.rows(letters, frame), 20)
    known_for(platform, 3, now(platform))
    evidence = judged(platform, BTC, at)
    assert max(live_buckets(evidence)) > at, "no live minute after the frame"


def test_an_unknown_market_is_404_with_near_names(platform: Platform) -> None:
    answer = platform.api("candles", market="coinbase:BTC-USB", timeframe="1m")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert BTC in answer.text


def dropped(platform: Platform, replay: int | str) -> tuple[int, int]:
    """Drop the socket for two minutes; return when that was and when the next subscription was complete."""
    before, at = len(until("a subscription", lambda: subscriptions(platform), 30)), now(platform)
    platform.control("drop", seconds=120, replay=replay)
    again = until("a new subscription", lambda: subscriptions(platform)[before:], 60)[0]
    known_for(platform, 2, again)
    return at, again


def test_two_minutes_without_a_socket_are_named_exactly(platform: Platform) -> None:
    known_for(platform, 3, now(platform))  # whatever another test broke lies before, with whole minutes in between
    at, again = dropped(platform, replay=20)
    for market in (BTC, ETH):
        expect_exact_hole(judged(platform, market, at - 3 * MINUTE), Span(at, again))


def expect_exact_hole(evidence: Evidence, without: Span) -> None:
    """Find one hole, of all minutes that lost a trade and none that the time without a socket does not touch."""
    (hole,) = [span for span in holes(evidence) if touched(span, [without])]
    doubtful = [span for span in broken(evidence) if touched(span, [without])]
    stored = {trade[:2] for trade in evidence.stored}
    lost = [t.ts for t in evidence.made if t[:2] not in stored and without.start < t.ts < without.stop]
    assert hole.start <= min(lost)
    assert hole.stop > max(lost)
    assert hole.start > min(span.start for span in doubtful) - MINUTE
    assert hole.stop < max(span.stop for span in doubtful) + MINUTE


def test_two_minutes_without_a_socket_leave_no_hole_where_the_replay_bridges_them(platform: Platform) -> None:
    known_for(platform, 2, now(platform))  # whatever another test broke lies before
    at, again = dropped(platform, replay="bridge")
    evidence = judged(platform, BTC, at)
    assert [span for span in holes(evidence) if touched(span, [Span(at, again + 2 * MINUTE)])] == []


def test_a_refused_key_stops_the_producer_until_a_person_resets_it(platform: Platform) -> None:
    known_for(platform, 1, (until("a subscription", lambda: subscriptions(platform), 30))[0])
    platform.control("unauthorized", seconds=80_000)
    state, error, reset_at, beat = until("Error", lambda: in_error(platform), 40)
    assert "UNAUTHORIZED" in error
    assert reset_at is None
    later = until("it lives on", lambda: [row for row in platform.rows(STATE, PRODUCER) if row[3] > beat], 20)[0]
    assert later[0] == state == "error"
    platform.control("reset")
    assert platform.manage("reset_actor", PRODUCER).returncode == 0
    known_for(platform, 1, now(platform))
    resets = "select by from transition_log where name = %s and event = 'RESET' order by id desc limit 1"
    assert platform.rows(resets, PRODUCER)[0][0].endswith("(reset_actor)")


def in_error(platform: Platform) -> tuple[Any, ...] | None:
    """Return the producer's row while it waits for a person."""
    found = [row for row in platform.rows(STATE, PRODUCER) if row[0] == "error" and row[2] is None]
    return found[0] if found else None


@pytest.mark.skipif(not REPLAY, reason="set CANDLEKEEP_REPLAY to a CSV of recorded trades (see simulator/replay.py)")
def test_a_recorded_market_comes_out_as_computed_from_its_file(platform: Platform) -> None:
    first = until("the recording begins", lambda: recorded_minute(platform), 60)
    evidence = until("live minutes, some of them empty", lambda: well_recorded(platform, first), 90)
    assert faults(evidence) == []
    assert Decimal(0) not in {bar.volume for bar in evidence.candles.values()}


def well_recorded(platform: Platform, first: int) -> Evidence | None:
    """Return the evidence since the recording began, once it holds eight live minutes, two traded and one empty."""
    span = span_since(platform, REPLAYED, first)
    if span.stop <= span.start:
        return None
    evidence = evidence_on(platform, REPLAYED, span, made_of_file(Path(REPLAY), platform.home, span), SPEED)
    traded = {trade.ts // MINUTE * MINUTE for trade in evidence.made}
    live = set(live_buckets(evidence))
    return evidence if len(live) >= 8 and len(live & traded) >= 2 and live - traded else None


def recorded_minute(platform: Platform) -> int | None:
    """Return the minute of the recording's first trade, once it was sent."""
    found = [json.loads(line) for line in platform.sent() if f'"market":"{REPLAYED}"' in line and '"trade"' in line]
    return min(event["ts"] for event in found) // 1000 // MINUTE * MINUTE if found else None
