"""A provider that is down, over its limit, locked, or answers nonsense: named, waited for, and nothing stored is hurt.

Faults are asked for in the provider's seconds, ten of which pass in one here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from tests.support.e2e.first_charts import BTC, LIED_ABOUT, WITHOUT_NUMBERS
from tests.support.e2e.platform import Platform
from tests.support.e2e.provider import calls, theirs
from tests.support.e2e.series import expect_same
from tests.support.polling import PATIENT_S, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
MINUTE = 60
FINAL_AFTER_S = 80  # after the end of a minute: then the provider answers with all of its trades
HOUR = 3600
LONG = 80_000  # seconds of the provider's: until the test ends it
POOL = 4  # jobs that may have been under way when the key was refused, each of which tries it once
HELD = "select name from ingestion_producer where name like 'producer-%%' and state = 'error' and reset_at is null"
_hours = count(8000, 50)  # no other test of the folder asks for hours so long ago: each takes the next ones


@pytest.fixture(autouse=True)
def healed(platform: Platform) -> Iterator[None]:
    """End what a test asked for, so that one that fails does not spoil the next."""
    yield
    platform.control("reset")
    reset_held(platform)


def reset_held(platform: Platform) -> None:
    """Reset, as a person would, every producer that waits for one."""
    for (name,) in platform.rows(HELD):
        assert platform.manage("reset_actor", name).returncode == 0


class Question:
    """Some hours long ago, of which nothing is known yet."""

    def __init__(self, platform: Platform) -> None:
        """Take the next ones."""
        self.platform = platform
        stop = int(platform.provider_now() // HOUR - next(_hours)) * HOUR
        self.start, self.stop = stop - 40 * HOUR, stop

    def ask(self, wait: float = 0) -> tuple[int, dict[str, Any]]:
        """Ask; return the status and the answer."""
        span = {"from": self.start * 1000, "to": self.stop * 1000}
        answer = self.platform.api("candles", market=BTC, timeframe="1h", **span, wait=wait)
        return answer.status_code, answer.json()

    def expect_complaint(self, reason: str) -> None:
        """Wait until the client sees that this keeps the answer from coming."""
        told: list[str] = []

        def look() -> bool:
            told.append(str((self.ask()[1]["request"] or {}).get("error")))
            return reason in told[-1]

        try:
            until(reason, look, 60)
        except AssertionError as failure:
            raise AssertionError(f"seen: {sorted(set(told))}") from failure

    def is_answered(self) -> bool:
        """Return whether the whole answer is there."""
        status, body = self.ask()
        return status == 200 and body["complete"] and not body["request"]

    def expect_answered(self, seconds: float) -> None:
        """Wait for the answer; every hour is the provider's own."""
        until("the answer", self.is_answered, seconds, longest_pause=PATIENT_S)
        expected = theirs(self.platform, BTC, "hour", self.start, self.stop - HOUR)
        _, body = self.ask()
        assert {row[0] // 1000 for row in body["candles"]} == set(expected)
        for row in body["candles"]:
            expect_same(row, expected[row[0] // 1000])


@pytest.mark.parametrize(
    ("fault", "body", "reason"),
    [
        ("error", {"status": 502}, "HTTP 502"),
        ("ratelimit", {}, "rate limit"),
        ("spoil", {"kind": "text"}, "not in a format"),
        ("spoil", {"kind": "shape"}, "not in a format"),
        ("spoil", {"kind": "times"}, "none of the rows"),
        ("spoil", {"kind": "rows"}, "left out 40 buckets"),
    ],
)
def test_trouble_of_the_provider_is_told_to_the_asker_and_passes_by_itself(
    platform: Platform, fault: str, body: dict[str, Any], reason: str
) -> None:
    platform.control(fault, seconds=LONG, **body)
    question = Question(platform)
    question.ask()
    question.expect_complaint(reason)
    assert question.ask()[1].get("candles", []) == []
    platform.control("reset")
    question.expect_answered(90)


def test_a_refused_key_holds_history_until_a_person_resets_it(platform: Platform) -> None:
    platform.control("unauthorized", seconds=LONG)
    question = Question(platform)
    question.ask()
    question.expect_complaint("API key required")
    until("a producer waits for a person", lambda: platform.rows(HELD), 30)
    made, begun = len(calls(platform)), time.monotonic()
    until("it is left alone", lambda: time.monotonic() - begun > 12, 20)
    assert len(calls(platform)) < made + POOL, "a key that was refused is tried again and again"
    platform.control("reset")
    reset_held(platform)
    question.expect_answered(90)


def test_zeros_in_place_of_a_known_candle_are_refused_and_the_candle_stays(platform: Platform) -> None:
    begun = until("trades are known", lambda: platform.candles(LIED_ABOUT, limit=1)["watermark"], 60)
    until(
        "some more",
        lambda: (platform.candles(LIED_ABOUT, limit=1)["watermark"] or 0) > begun + 60_000,
        60,
        longest_pause=PATIENT_S,
    )
    platform.control("spoil", seconds=LONG, kind="zeros", period="minute", market=LIED_ABOUT)
    platform.control("drop", seconds=90, replay=0)
    letters = "select reason from dead_letter where reason like 'zeros instead of %%'"
    assert until("a dead letter", lambda: platform.rows(letters), 60)
    doubted = until("a partial minute", lambda: partial(platform, begun), 30)
    platform.control("reset")
    until("the provider's own", lambda: source_of(platform, doubted[0]) == "provider", 90, longest_pause=PATIENT_S)
    stored = (
        "select high, low from candle c join market m on m.id = c.market_id"
        " where m.symbol = %s and resolution = 60 and open_time = to_timestamp(%s)"
    )
    (bounds,) = platform.rows(stored, LIED_ABOUT, doubted[0] // 1000)
    assert [str(price) for price in bounds] == doubted[2:4], "what our trades made of that minute was changed"


def partial(platform: Platform, since: int) -> list[Any] | None:
    """Return the first row since a time (ms) that lacks a part of its trades."""
    body = platform.candles(LIED_ABOUT, **{"from": since, "wait": 0})
    return next((row for row in body["candles"] if row[8] == "partial" and row[9]), None)


def source_of(platform: Platform, at: int) -> str:
    """Return where the minute at a time (ms) comes from."""
    (row,) = platform.candles(LIED_ABOUT, **{"from": at, "to": at + 60_000, "wait": 0})["candles"]
    return str(row[8])


def test_trades_that_all_have_one_id_are_kept_apart_or_refused_and_no_candle_is_wrong(platform: Platform) -> None:
    began = int(platform.provider_now() // MINUTE + 1) * MINUTE
    until("a minute begins", lambda: platform.provider_now() >= began - 10, 30)
    for market in (BTC, WITHOUT_NUMBERS):
        platform.control("ids", market=market, seconds=190)
    for market in (BTC, WITHOUT_NUMBERS):
        asked = {"from": began * 1000, "to": (began + 3 * MINUTE) * 1000, "wait": 0}

        def is_whole(market: str = market, asked: dict[str, int] = asked) -> bool:
            body = platform.candles(market, **asked)
            final = platform.provider_now() * 1000 >= asked["to"] + FINAL_AFTER_S * 1000
            return bool(final and body["complete"] and body["watermark"] >= asked["to"])

        until(f"{market} is whole", is_whole, 90, longest_pause=PATIENT_S)
        body = platform.candles(market, **asked)
        expected = theirs(platform, market, "minute", began, began + 2 * MINUTE)
        for row in body["candles"]:
            expect_same(row, expected[row[0] // 1000])
        assert len(body["candles"]) == 3
        states = {part["state"] for part in body["coverage"]}
        assert states == ({"live"} if market == BTC else {"provider"}), body["coverage"]
    letters = platform.rows("select market, count(*) from dead_letter where code = 'conflict' group by 1")
    assert [market for market, _ in letters] == [WITHOUT_NUMBERS]
