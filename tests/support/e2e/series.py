"""What the answers of a running platform must be: whole, contiguous, and the provider's own candles."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from itertools import pairwise
from typing import Any

from tests.support.e2e.platform import Platform
from tests.support.e2e.provider import PERIODS, Candle, joined, theirs

LENGTHS = {"1m": 60, "5m": 300, "1h": 3600, "1d": 86_400, "1w": 7 * 86_400}
NEWEST = 5  # buckets at the end of an answer that are open or not known yet
PARTS = {"1m": "minute", "5m": "minute", "1h": "hour", "1d": "day", "1w": "day"}


def keep(platform: Platform, market: str) -> None:
    """Make a market's row, and ask for nothing."""
    made = platform.manage(
        "shell", "-c", f"from datastore.reference.markets import get_or_create_market as made; made('{market}')"
    )
    assert made.returncode == 0, made.stderr


def whole(platform: Platform, market: str, timeframe: str, count: int) -> dict[str, Any] | None:
    """Return the newest candles if there is no hole in them: a row for every bucket in which something was traded."""
    answer = platform.api("candles", market=market, timeframe=timeframe, limit=count, wait=0)
    if answer.status_code != 200 or not answer.json()["complete"]:
        return None
    body = dict(answer.json())
    length = LENGTHS[timeframe] * 1000
    if body["coverage"][-1]["to"] - body["complete_until"] > NEWEST * length:
        return None  # nothing is missing, since nothing is known yet
    expect_contiguous(body)
    quiet = sum(part["quiet"] for part in body["coverage"])
    rows = [row for row in body["candles"] if row[0] < body["complete_until"]]
    assert len(rows) + quiet == (body["complete_until"] - body["coverage"][0]["from"]) // length
    return body


def expect_contiguous(body: dict[str, Any]) -> None:
    """Find the certificate without a hole and without an overlap."""
    edges = [(part["from"], part["to"]) for part in body["coverage"]]
    assert all(before[1] == after[0] for before, after in pairwise(edges))


def provided(platform: Platform, market: str, timeframe: str, first: int, last: int) -> dict[int, Candle]:
    """Return the provider's candles of a timeframe, made of its minutes or days where it has none such."""
    length, period = LENGTHS[timeframe], PARTS[timeframe]
    rows = theirs(platform, market, period, first, last + length - PERIODS[period])
    parts = defaultdict(list)
    for at in sorted(rows):
        parts[first + (at - first) // length * length].append(rows[at].served)
    return {at: joined(found) for at, found in parts.items()}


def expect_same(row: list[Any], expected: Candle) -> None:
    """Compare a row with the provider's: to the digit where it is its own, else its sums as floats go."""
    ours, expected = Candle.of_answer(row), expected.served
    if row[8] == "provider":
        assert ours == expected, row
        return
    assert (ours.high, ours.low, ours.close) == (expected.high, expected.low, expected.close), row
    for mine, other in ((ours.volume, expected.volume), (ours.quote_volume, expected.quote_volume)):
        assert abs(mine - other) <= abs(other) * Decimal("1e-12"), row
