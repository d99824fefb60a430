"""History and live trades as one series: whole, equal to the provider's, and asked for once.

The simulator knows markets that nobody keeps yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import httpx
import pytest

from datastore.api.params.parameter import MAX_WAIT_S
from tests.support.e2e.first_charts import BTC, COUNTS, WITHOUT_NUMBERS, FirstPages
from tests.support.e2e.http_client import DAYLESS, OLD, RETENTION_DAYS, UNSEEN
from tests.support.e2e.platform import Platform
from tests.support.e2e.provider import calls, repeated
from tests.support.e2e.series import LENGTHS, expect_same, keep, provided, whole
from tests.support.polling import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
# Seconds after which the provider's own minutes, and its hours and days, change no more.
FINAL = {"1m": 120, "5m": 120, "1h": 720, "1d": 720, "1w": 720}
NOWHERE = "coinbase:DOGE-USD"
DAY_MS = 86_400_000


@pytest.fixture(autouse=True)
def healed(platform: Platform) -> Iterator[None]:
    """End what a test asked for, so that one that fails does not spoil the next."""
    yield
    platform.control("reset")


def has_seam(body: dict[str, Any]) -> bool:
    """Return whether the certificate names where history ends and live trades begin."""
    return ("provider", "live") in pairwise(part["state"] for part in body["coverage"])


@pytest.mark.parametrize("market", [BTC, WITHOUT_NUMBERS])
def test_the_first_chart_of_every_timeframe_is_whole_and_names_the_seam(platform: Platform, market: str) -> None:
    for timeframe, count in COUNTS.items():
        until(f"{timeframe} is whole", lambda of=timeframe, n=count: whole(platform, market, of, n), 60)

    def with_seam() -> dict[str, Any] | None:
        body = whole(platform, market, "1m", 120)
        return body if body and has_seam(body) else None

    body = until("the seam", with_seam, 60)
    assert body["complete_until"] - body["coverage"][0]["from"] >= 117 * 60_000


@pytest.mark.parametrize("market", [BTC, WITHOUT_NUMBERS])
@pytest.mark.parametrize("timeframe", COUNTS)
def test_every_closed_candle_is_the_providers_own(platform: Platform, market: str, timeframe: str) -> None:
    body = until("a whole chart", lambda: whole(platform, market, timeframe, COUNTS[timeframe]), 60)
    known = (platform.provider_now() - FINAL[timeframe]) * 1000
    closed = [row for row in body["candles"] if row[9] and row[0] + LENGTHS[timeframe] * 1000 <= known]
    assert len(closed) >= COUNTS[timeframe] - 6
    expected = provided(platform, market, timeframe, closed[0][0] // 1000, closed[-1][0] // 1000)
    for row in closed:
        expect_same(row, expected[row[0] // 1000])


def test_no_page_was_asked_for_twice(first_pages: FirstPages) -> None:
    first = {(call.path, call.market): call for call in reversed(first_pages.made)}
    assert len(first) == 6, "minutes, hours and days of two markets"
    assert {int(call.limit) for call in first.values()} <= set(range(1480, 1502))
    again = repeated(first_pages.made)
    assert sum(again.values()) <= first_pages.given_up, again


def test_a_market_never_seen_is_answered_whole_while_its_reader_waits(platform: Platform) -> None:
    keep(platform, UNSEEN)
    body = platform.candles(UNSEEN, "1m", limit=120, wait=MAX_WAIT_S)
    assert body["complete"]
    # No feed brings its trades: what is younger than STALE_AFTER is pending, but there.
    assert {part["state"] for part in body["coverage"]} == {"provider", "pending", "open"}
    assert len(body["candles"]) >= 117
    assert {call.path[-6:] for call in calls(platform, UNSEEN)} == {"minute"}


def test_days_that_the_provider_refuses_are_a_gap_with_its_reason_until_it_gives_them(platform: Platform) -> None:
    platform.control("error", seconds=80_000, period="day")
    assert platform.manage("add_market", DAYLESS).returncode == 0
    for timeframe in ("1m", "5m", "1h"):
        until(f"{timeframe} is whole", lambda of=timeframe: whole(platform, DAYLESS, of, 120), 60)
    until("the gap's reason", lambda: "HTTP 503" in reason_of_gap(platform, DAYLESS, "1d"), 60)
    platform.control("reset")
    until("the days", lambda: whole(platform, DAYLESS, "1d", 120), 90)


def reason_of_gap(platform: Platform, market: str, timeframe: str) -> str:
    """Return why the first hole is still there, empty while that is not known."""
    body = platform.candles(market, timeframe, limit=120, wait=0)
    repairs = (part["repair"] for part in body["coverage"] if part["state"] == "gap" and part["repair"])
    return str(next(repairs, {"reason": ""})["reason"])


def test_what_is_older_than_the_provider_keeps_is_a_final_gap_and_known_at_the_second_question(
    platform: Platform,
) -> None:
    keep(platform, OLD)
    now = platform.provider_now() * 1000
    kept_from = now - RETENTION_DAYS * DAY_MS
    asked = {"from": int(kept_from - DAY_MS), "to": int(kept_from + DAY_MS), "limit": 10_000}
    body = until("an end", lambda: ended(platform, OLD, "1m", asked), 30)
    gap, *others = body["coverage"]
    assert (gap["state"], gap["repair"]["final"]) == ("gap", True)
    assert gap["repair"]["reason"] == f"Minute data is only available for the last {RETENTION_DAYS} days."
    assert {part["state"] for part in others} == {"provider"}
    made = len(calls(platform, OLD))
    again = platform.candles(OLD, "1m", **asked, wait=0)
    assert (again["coverage"][0], again["request"]) == (gap, None)
    assert len(calls(platform, OLD)) == made


def ended(platform: Platform, market: str, timeframe: str, asked: dict[str, int]) -> dict[str, Any] | None:
    """Ask; return the answer once nothing is fetched for it any more."""
    answer = platform.api("candles", market=market, timeframe=timeframe, **asked)
    return answer.json() if answer.status_code == 200 and answer.json()["request"] is None else None


def test_askers_of_an_unknown_market_are_told_so_and_history_goes_on(platform: Platform) -> None:
    def ask(market: str) -> httpx.Response:
        return platform.api("candles", market=market, timeframe="1m", limit=10, wait=5)

    with ThreadPoolExecutor(5) as pool:
        unknown = [pool.submit(ask, "coinbase:BTC-USDX") for _ in range(4)]
        known = pool.submit(ask, BTC)
    assert {answer.result().status_code for answer in unknown} == {404}
    assert all(BTC in answer.result().text for answer in unknown)
    assert known.result().json()["candles"]
    until("it is whole", lambda: ask(BTC).json()["complete"], 60)


def test_askers_of_a_market_that_the_provider_refuses_cost_it_one_call_and_history_goes_on(platform: Platform) -> None:
    keep(platform, NOWHERE)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: platform.api("candles", market=NOWHERE, timeframe="1h", limit=10), range(4)))
    assert {answer.status_code for answer in answers} <= {200, 202}

    def refusal() -> str:
        request = platform.candles(NOWHERE, "1h", limit=10, wait=0)["request"]
        return request["error"] or "" if request and request["id"] is None else ""

    until("the reason", lambda: "no data for the symbol DOGE" in refusal(), 30)
    assert len(calls(platform, NOWHERE)) <= 2  # the hour that is not over yet is asked for in minutes
    (gap, *_) = platform.candles(NOWHERE, "1h", limit=10, wait=0)["coverage"]
    assert gap["repair"] is None  # only age is final: it is asked for again after a minute, if anybody wants it
    hours = {"from": int(platform.provider_now() - 2000 * 3600) * 1000, "limit": 300}
    until("history goes on", lambda: ended(platform, BTC, "1h", hours), 60)
    assert platform.candles(BTC, "1h", **hours)["complete"]
