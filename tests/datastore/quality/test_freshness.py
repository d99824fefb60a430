"""Fresh: the feed is alive. Whole: no gap that is not final in the last day of minutes."""

from __future__ import annotations

import pytest
from django.db import OperationalError, connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext

from datastore.backfill.gap_repair import scan
from datastore.ingest.live_write import store_live
from datastore.models import GapRepair, Market
from datastore.quality.freshness import freshness_problems
from datastore.reference.markets import ensure_markets, get_or_create_market
from ingestion.models import Producer
from streaming.records import LiveRecord
from tests.support.api.keys import saved_key
from tests.support.datastore.answers import answered, store
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.records import BTC, ETH, MINUTE, NOON, SECOND, closed, moment, opened, watermark

pytestmark = pytest.mark.django_db
DAY = 24 * 60 * MINUTE


@pytest.fixture
def btc(provider_time: ProviderTime) -> Market:
    (market,) = ensure_markets([BTC])
    provider_time.set(NOON + 20 * MINUTE)
    return market


def alive(*, start: int = NOON, until: int = NOON + 20 * MINUTE - 5 * SECOND) -> None:
    store_live([opened(1, start), watermark(2, until, start)])


def broken() -> None:
    """A feed that was away from 12:05:30 to 12:07:20."""
    back = NOON + 7 * MINUTE + 20 * SECOND
    store_live(
        [
            opened(1, NOON),
            watermark(2, NOON + 5 * MINUTE + 30 * SECOND),
            closed(3, None, "socket lost"),
            opened(4, back),
            watermark(5, NOON + 20 * MINUTE - 5 * SECOND, back),
        ]
    )


def test_a_live_feed_without_a_gap_is_fresh_and_whole(btc: Market, client: Client) -> None:
    alive()
    answer = client.get("/health/fresh")
    assert (answer.status_code, answer.json()) == (200, {"status": "fresh", "not_fresh": 0})


def test_a_market_that_the_provider_refuses_is_not_fresh_and_says_why(btc: Market, admin_client: Client) -> None:
    Market.objects.update(refusal="INVALID_SUB", refused_since=moment(NOON))
    answer = admin_client.get("/health/fresh")
    reasons = ["INVALID_SUB, since 2023-11-15 12:00:00", "its feed has proven nothing yet"]
    assert (answer.status_code, answer.json()["markets"]) == (503, {BTC: reasons})
    alive()
    assert freshness_problems() == {BTC: reasons[:1]}


def test_the_minute_in_which_the_feed_began_is_not_held_against_it(btc: Market) -> None:
    alive(start=NOON + 30 * SECOND)
    assert freshness_problems() == {BTC: []}


def test_a_feed_that_is_silent_for_longer_than_stale_after_is_not_fresh(
    btc: Market, client: Client, provider_time: ProviderTime
) -> None:
    alive()
    provider_time.set(NOON + 20 * MINUTE + 100 * SECOND)
    answer = client.get("/health/fresh")
    assert (answer.status_code, answer.json()["not_fresh"], "markets" in answer.json()) == (503, 1, False)
    answer = client.get("/health/fresh", headers={"X-API-Key": saved_key("monitor", "read")})
    assert answer.status_code == 503
    reason, *_ = answer.json()["markets"][BTC]
    assert reason.startswith("its feed has proven nothing for 105 s: there is no producer-live-… row")


def test_a_silent_feed_names_the_actor_that_it_waits_for(btc: Market, provider_time: ProviderTime) -> None:
    alive()
    provider_time.set(NOON + 20 * MINUTE + 100 * SECOND)
    Producer.objects.create(
        role="producer-live",
        name="producer-live-1",
        owner="here:1:1",
        heartbeat_at=Now(),
        waiting_for="the provider: 503",
    )
    reason, *_ = freshness_problems()[BTC]
    assert reason.endswith(": producer-live-1 is in Idle (waits for: the provider: 503)")


def test_a_gap_is_a_reason_until_it_is_repaired_also_while_it_is_being_repaired(btc: Market) -> None:
    broken()
    gap = "gap 2023-11-15 12:05 to 12:08: socket lost; "
    assert freshness_problems() == {BTC: [f"{gap}not requested yet, the gap scan does that"]}, "known before any scan"
    scan()
    assert GapRepair.objects.filter(final=False).exists()
    waits = "waits for a Coordinator: there is none: does run_coordinator run?"
    assert freshness_problems() == {BTC: [gap + waits]}
    store(answered(NOON + 5 * MINUTE, NOON + 8 * MINUTE))
    assert freshness_problems() == {BTC: []}


def test_a_gap_that_nobody_can_ever_fill_is_no_reason(btc: Market) -> None:
    broken()
    span = {"start": moment(NOON + 5 * MINUTE), "stop": moment(NOON + 8 * MINUTE)}
    GapRepair.objects.create(market=btc, resolution=60, **span, reason="too old", final=True)
    assert freshness_problems() == {BTC: []}


def test_a_gap_older_than_a_day_is_no_reason(btc: Market, provider_time: ProviderTime) -> None:
    broken()
    provider_time.set(NOON + DAY + 20 * MINUTE)
    store_live([watermark(6, NOON + DAY + 20 * MINUTE - SECOND, NOON + 7 * MINUTE + 20 * SECOND)])
    assert freshness_problems() == {BTC: []}


def test_a_market_without_any_feed_is_named_and_one_that_nobody_follows_is_not(btc: Market) -> None:
    get_or_create_market(ETH)
    ((symbol, (reason,)),) = freshness_problems().items()
    assert symbol == BTC, "nobody follows the other"
    assert reason.startswith("its feed has proven nothing yet: there is no producer-live-… row")


def test_without_a_followed_market_nothing_is_fresh(client: Client) -> None:
    answer = client.get("/health/fresh", headers={"X-API-Key": saved_key("monitor", "read")})
    assert answer.status_code == 503
    assert answer.json()["failing"] == {"markets": "no market is followed, so nothing was checked"}


def test_many_gaps_are_counted_and_the_newest_named(btc: Market) -> None:
    records: list[LiveRecord] = []
    for n in range(7):
        start = NOON + 3 * n * MINUTE
        records += [opened(3 * n + 1, start), watermark(3 * n + 2, start + MINUTE, start)]
        records += [closed(3 * n + 3, None, "socket lost", start)]
    store_live(records)
    found = freshness_problems()[BTC]
    assert found[:-1] == [
        f"gap 2023-11-15 12:{minute:02} to 12:{minute + 2:02}: socket lost; not requested yet, the gap scan does that"
        for minute in (4, 7, 10, 13, 16)
    ]
    assert found[-1] == "and 1 more gap"


def test_the_questions_asked_do_not_grow_with_the_gaps(btc: Market) -> None:
    alive()
    with CaptureQueriesContext(connection) as few:
        freshness_problems()
    broken()
    with CaptureQueriesContext(connection) as many:
        freshness_problems()
    assert len(few) == len(many) <= 7


def test_the_questions_asked_do_not_grow_with_the_markets(btc: Market) -> None:
    broken()
    ensure_markets([f"kraken:A{n}-EUR" for n in range(2)])
    with CaptureQueriesContext(connection) as few:
        freshness_problems()
    ensure_markets([f"kraken:A{n}-EUR" for n in range(29)])
    with CaptureQueriesContext(connection) as many:
        assert len(freshness_problems()) == 30
    assert len(few) == len(many) <= 7


def test_a_database_that_is_away_is_named(btc: Market, client: Client) -> None:
    headers = {"X-API-Key": saved_key("monitor", "read")}
    client.get("/health/fresh", headers=headers)  # the key is known from now on

    def away(*_: object) -> None:
        raise OperationalError("gone")

    with connection.execute_wrapper(away):
        answer = client.get("/health/fresh", headers=headers)
    assert answer.status_code == 503
    assert answer.json()["failing"] == {"database": "OperationalError: gone"}
