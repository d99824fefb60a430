"""The pages of gaps: the ledger, one gap's story, and a try that does not wait."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from coordination.models import Coordinator
from datastore.backfill.gap_repair import scan
from datastore.models import FetchRequest, GapRepair, Market
from datastore.timeframes.intervals import micros_of
from tests.support.api.rows import BEGAN, MINUTE, SYMBOL, Feed
from tests.support.dashboard.reading import XSS, XSS_SHOWN, shown, written
from tests.support.datastore.records import store

pytestmark = pytest.mark.django_db


@pytest.fixture
def hole(market: Market) -> Market:
    """A market whose feed was lost for two minutes and came back."""
    feed, later = Feed(), Feed(feed="tick-data/two")
    store(feed.opened(), feed.trade(1, "100"), feed.watermark(180), feed.closed(180, "socket lost"))
    store(later.opened(300), later.trade(310, "98"), later.watermark(540, start=300))
    return market


def gap(market: Market, **values: Any) -> GapRepair:
    span = {"start": BEGAN + 3 * MINUTE, "stop": BEGAN + 5 * MINUTE, "resolution": 60}
    return GapRepair.objects.create(market=market, **{**span, "code": "socket", "reason": "socket lost", **values})


def test_without_gaps_the_page_says_what_that_means(client: Client, market: Market) -> None:
    assert "Nothing is missing" in shown(client, "/gaps")


def test_a_gap_is_listed_before_the_scan_has_stored_it(client: Client, hole: Market) -> None:
    page = shown(client, "/gaps")
    assert "just found" in page
    assert "connection lost" in page
    assert "socket lost" in page
    scan()
    assert "just found" not in shown(client, "/gaps?part")
    assert SYMBOL in shown(client, "/gaps?state=fetching")


def test_gaps_are_found_by_market_state_reason_and_time(client: Client, market: Market) -> None:
    gap(market)
    gap(market, start=BEGAN - 9 * MINUTE, stop=BEGAN - 8 * MINUTE, final=True, code="final", reason="too old")
    inside = micros_of(BEGAN + 4 * MINUTE) // 1000
    for question, listed in (
        ("", 2),
        ("?market=coinbase", 2),
        ("?market=kraken", 0),
        ("?state=final", 1),
        ("?state=waiting", 1),
        ("?state=fetching", 0),
        ("?state=nonsense", 2),
        ("?reason=socket", 1),
        (f"?market={SYMBOL}&at={inside}", 1),
        (f"?at={inside + 3_600_000}", 0),
        ("?at=99999999999999999999999", 2),
    ):
        assert shown(client, f"/gaps{question}").count('<tr id="gap-') == listed, question


def test_a_gap_tells_when_the_feed_was_lost_what_was_tried_and_what_comes_next(client: Client, hole: Market) -> None:
    one = gap(hole, attempts=2, next_try=timezone.now() + timedelta(minutes=5))
    times = {"start": one.start, "stop": one.stop, "purpose": FetchRequest.Purpose.GAP}
    FetchRequest.objects.create(
        market=hole, resolution=60, state="failed", error="503 of the provider", finished_at=timezone.now(), **times
    )
    page = shown(client, f"/gaps/{one.pk}")
    for words in ("The feed is proven up to here", "socket lost", "The feed is proven again from here"):
        assert words in page
    first = micros_of(one.start - 40 * MINUTE) // 1000
    assert f'href="/markets/{SYMBOL}?timeframe=1m&amp;from={first}&amp;to=' in page
    for words in ("503 of the provider", "failed", "in 5 min", "2 tries so far"):
        assert words in page


def test_a_gap_that_is_filled_is_a_page_with_a_way_back(client: Client, market: Market) -> None:
    assert "It was filled" in shown(client, "/gaps/999", 404)
    part = shown(client, "/gaps/999?part=1")  # in place of what was shown until it was filled
    assert "It was filled" in part
    assert "<html" not in part


def test_who_fetches_a_gap_is_named(client: Client, market: Market, coordinator: Coordinator) -> None:
    one = gap(market)
    FetchRequest.objects.create(market=market, resolution=60, start=one.start, stop=one.stop, purpose=1)
    assert "waits for a history Producer" in shown(client, "/gaps?state=fetching")


def test_staff_have_a_gap_fetched_at_once(client: Client, staff: Client, hole: Market) -> None:
    one = gap(hole, attempts=9, next_try=timezone.now() + timedelta(hours=1))
    later = timezone.now() + timedelta(hours=1)
    FetchRequest.objects.create(
        market=hole, resolution=60, start=one.start, stop=one.stop, purpose=3, next_try=later, error="503"
    )
    address = f"/api/v1/gaps/{one.pk}/retry"
    assert address not in shown(client, "/gaps")
    assert address in shown(staff, "/gaps")
    written(client, address, 401)
    written(staff, address, 202)
    request = FetchRequest.objects.get()
    assert (request.purpose, request.next_try) == (FetchRequest.Purpose.GAP, None)


def test_staff_have_a_final_gap_asked_for_once_more(staff: Client, hole: Market) -> None:
    one = gap(hole, final=True, code="final", reason="too old")
    assert "Ask again" in shown(staff, f"/gaps/{one.pk}")
    written(staff, f"/api/v1/gaps/{one.pk}/retry", 202)
    assert not GapRepair.objects.filter(final=True).exists()
    assert FetchRequest.objects.get().start == one.start


def test_a_text_of_others_stays_text(client: Client, market: Market) -> None:
    one = gap(market, reason=XSS)
    for address in ("/gaps", f"/gaps/{one.pk}"):
        page = shown(client, address)
        assert XSS not in page
        assert XSS_SHOWN in page


def test_the_statements_are_as_many_for_many_gaps_and_a_page_has_a_hundred(
    client: Client, market: Market, count_statements: Any
) -> None:
    gap(market)
    few = count_statements(client, "/gaps")
    for minute in range(110):
        gap(market, start=BEGAN - (2 * minute + 2) * MINUTE, stop=BEGAN - (2 * minute + 1) * MINUTE)
    assert count_statements(client, "/gaps") == few
    assert shown(client, "/gaps").count('<tr id="gap-') == 100
    assert shown(client, "/gaps?page=2").count('<tr id="gap-') == 11
