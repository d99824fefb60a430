"""Live minutes of a running platform at twenty times the speed, judged by the provider's own candles."""

from __future__ import annotations

import json
from typing import Any

from tests.support.chaos.collect import evidence_on, made_by, span_since
from tests.support.chaos.verify import (
    MINUTE,
    SECOND,
    Evidence,
    faults,
    live_buckets,
    roll_up,
)
from tests.support.e2e.platform import Platform
from tests.support.polling import PATIENT_S, until

SPEED = 20
BTC, ETH, REPLAYED = "coinbase:BTC-USD", "coinbase:ETH-USD", "kraken:XBT-USDT"


def watermark(platform: Platform, market: str = BTC) -> int:
    """Return up to where the market is known, in microseconds; 0: nowhere yet."""
    return (platform.candles(market, limit=1)["watermark"] or 0) * 1000


def now(platform: Platform) -> int:
    """Return the provider's time in microseconds."""
    return round(platform.provider_now() * SECOND)


def subscriptions(platform: Platform, market: str = BTC) -> list[int]:
    """Return when the market's subscriptions were complete, in microseconds."""
    events = (json.loads(line) for line in platform.sent() if '"subscribed"' in line)
    return [event["at"] // 1000 for event in events if event["market"] == market]


def known_for(platform: Platform, minutes: int, since: int) -> int:
    """Wait until the watermark is so many minutes past `since`; return it."""
    wanted = since + minutes * MINUTE
    return until("the feed goes on", lambda: (at := watermark(platform)) >= wanted and at, 60, longest_pause=PATIENT_S)


def judged(platform: Platform, market: str, since: int) -> Evidence:
    """Gather the evidence from the minute of `since` to the watermark, and find it without fault."""
    span = span_since(platform, market, since)
    evidence = evidence_on(platform, market, span, made_by(market, span, None), SPEED)
    assert faults(evidence) == []
    return evidence


def settled(platform: Platform, market: str, first: int) -> tuple[Evidence, list[int]] | None:
    """Return the evidence once it holds two live minutes that the provider, up to 40 s behind, knows whole."""
    if watermark(platform, market) < first + 6 * MINUTE:
        return None
    evidence = judged(platform, market, first)
    live = [at for at in live_buckets(evidence) if at + 3 * MINUTE < now(platform)]
    return (evidence, live) if len(live) >= 2 else None


def expect_same(evidence: Evidence, at: int, row: dict[str, Any], before: dict[str, Any]) -> None:
    """Compare one minute with the provider's; its sums are floats, and its open is the close before."""
    ours = evidence.candles[at]
    sent = {trade for trade in evidence.log.sent[evidence.market] if at <= trade.ts < at + MINUTE}
    assert (float(ours.high), float(ours.low), float(ours.close)) == (row["high"], row["low"], row["close"])
    assert (float(ours.volume), float(ours.quote_volume)) == (row["volumefrom"], row["volumeto"])
    assert row["open"] == before["close"]
    rolled = roll_up(sent)
    assert rolled
    assert (ours.open, ours.trades) == (rolled.open, len(sent))
