"""Three markets at a rate, and what is known of them while processes are killed."""

from __future__ import annotations

import httpx

from tests.support.chaos.collect import evidence_on, made_by, span_since
from tests.support.chaos.verify import Evidence, read_log
from tests.support.e2e.platform import Platform

RATE = 100
# Ids of the venue with CCSEQ; without CCSEQ; made-up ids and whole seconds.
MARKETS = ("coinbase:BTC-USD", "kraken:BTC-EUR", "bitfinex:ETH-USD")
RECOVERY = 90.0  # seconds


def settings_of(rate: float) -> dict[str, str]:
    """Return the environment of a platform at this rate."""
    return {"SIMULATOR_ARGS": f"--rate {rate:g}", "MARKETS": ",".join(MARKETS)}


def known_at(platform: Platform, at: float) -> bool:
    """Return whether every market is known up to this time, which takes every process; at speed 1, by our time."""
    try:
        answers = [platform.api("candles", market=market, timeframe="1m", limit=1) for market in MARKETS]
    except httpx.TransportError:
        return False
    return all(answer.status_code == 200 and (answer.json()["watermark"] or 0) >= at * 1000 for answer in answers)


def evidence_since_start(platform: Platform, market: str) -> Evidence:
    """Gather all evidence on a market from the minute of its first subscription."""
    sockets = read_log(platform.sent()).sockets
    first = min(socket.subscribed[market] for socket in sockets if market in socket.subscribed)
    span = span_since(platform, market, first)
    return evidence_on(platform, market, span, made_by(market, span, RATE))
