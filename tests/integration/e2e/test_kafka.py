"""The main job on a Kafka: from the provider's trades and history to exact candles, and over the broker's restart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from streaming.topics import FIXED_TOPICS
from tests.support.broker_backends import empty
from tests.support.chaos.verify import MINUTE, SECOND
from tests.support.e2e.live_minutes import (
    BTC,
    ETH,
    SPEED,
    expect_same,
    known_for,
    settled,
    subscriptions,
)
from tests.support.e2e.platform import Platform
from tests.support.e2e.series import expect_same as expect_providers
from tests.support.e2e.series import provided, whole
from tests.support.kafka.server import PrivateKafka
from tests.support.polling import PATIENT_S, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def platform(home: Path, kafka_of_this_run: PrivateKafka) -> Iterator[Platform]:
    """Run Candlekeep once on an empty cluster."""
    empty(kafka_of_this_run)
    env = {"SIMULATOR_ARGS": f"--speed {SPEED}", "STALE_AFTER": str(90 * SPEED), "MARKETS": f"{BTC},{ETH}"}
    with Platform(home, {**env, "STREAM_URL": kafka_of_this_run.url}) as running:
        yield running


def test_live_minutes_and_history_are_the_providers_own_candles(platform: Platform, kafka: PrivateKafka) -> None:
    with closing(kafka.broker().admin()) as admin:
        until("its topics", lambda: set(FIXED_TOPICS) <= admin.topics(), 30)
    assert any("stream ready" in line for line in platform.lines)
    first = until("a subscription", lambda: subscriptions(platform, BTC), 30)[0]
    evidence, live = until("two live minutes", lambda: settled(platform, BTC, first), 90, longest_pause=PATIENT_S)
    theirs = platform.provider_candles(BTC, live[-1] // SECOND, (live[-1] - first) // MINUTE + 2)
    for at in live:
        expect_same(evidence, at, theirs[at // SECOND], theirs[at // SECOND - 60])
    body = until("a whole day of minutes", lambda: whole(platform, ETH, "1m", 1400), 60)
    old = [row for row in body["candles"] if row[8] == "provider"][:300]
    expected = provided(platform, ETH, "1m", old[0][0] // 1000, old[-1][0] // 1000)
    for row in old:
        expect_providers(row, expected[row[0] // 1000])


@pytest.mark.chaos
def test_a_cluster_that_is_killed_is_named_and_leaves_no_hole(platform: Platform, kafka: PrivateKafka) -> None:
    first = until("a subscription", lambda: subscriptions(platform, BTC), 30)[0]
    before = known_for(platform, 2, first) // 1000
    kafka.kill()
    failing = until("it is named", lambda: platform.http.get("/health/ready").json()["failing"].get("stream"), 30)
    assert failing == "does not answer"
    kafka.start()
    until("it is ready again", platform.ready, 60)
    # Five minutes of the provider's are a quarter of a minute here.
    now = known_for(platform, 5, before * 1000) // 1000
    answer = platform.candles(BTC, **{"from": before, "to": now})
    assert {part["state"] for part in answer["coverage"]} <= {"live", "open", "pending"}, answer["coverage"]
