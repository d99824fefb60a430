"""A market nobody has asked for, then followed while the others go on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from candlekeep_client import Client

from datastore.api.params.parameter import MAX_WAIT_S
from tests.support.clients.follower import Follower
from tests.support.e2e.followed import BTC, STALE_S
from tests.support.e2e.platform import Platform
from tests.support.polling import PATIENT_S, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
# ms: behind all that the first fetch brought, which was as new as the provider had it
LATER = (2 * STALE_S + 180) * 1000
MINUTE = timedelta(minutes=1)
SOL, XRP = "coinbase:SOL-USD", "coinbase:XRP-USD"


def states(answer: dict[str, Any]) -> list[str]:
    return [segment["state"] for segment in answer["coverage"]]


def feeds_of(platform: Platform, market: str) -> list[Any]:
    sql = "select c.start, c.stop, c.reason from coverage c join market m on m.id = c.market_id"
    feeds = "c.source = 'live' and c.feed not like 'seq/%%'"  # each connection, not what its numbers prove
    return platform.rows(f"{sql} where m.symbol = %s and {feeds} order by c.start", market)


def fetches_of(platform: Platform, market: str) -> int:
    sql = "select count(*) from fetch_request f join market m on m.id = f.market_id where m.symbol = %s"
    return int(platform.rows(sql, market)[0][0])


def whole(platform: Platform) -> dict[str, Any]:
    """Ask until the answer is complete: at this speed a minute may end while the one before is fetched."""
    found: list[dict[str, Any]] = []

    def ask() -> bool:
        found.append(platform.candles(XRP, limit=120))
        return bool(found[-1]["complete"])

    until("the answer is whole", ask, 30)
    return found[-1]


def test_a_market_never_seen_is_answered_within_the_wait_and_stays_the_reader_s_own(platform: Platform) -> None:
    assert platform.candles(XRP, limit=120, wait=MAX_WAIT_S)["candles"]
    answer = whole(platform)
    assert len(answer["candles"]) > 60
    assert states(answer)[0] == "provider" and set(states(answer)) <= {"provider", "pending", "open"}
    asked = fetches_of(platform, XRP)
    newest = answer["complete_until"]
    # Scans and refreshes pass, and time with them: nobody but a reader asks for more.
    until("time passes", lambda: platform.provider_now() * 1000 > newest + LATER, 200, longest_pause=PATIENT_S)
    assert fetches_of(platform, XRP) == asked
    assert whole(platform)["complete_until"] > newest
    assert fetches_of(platform, XRP) > asked
    assert platform.rows("select 1 from market where symbol = %s and followed", XRP) == []
    assert feeds_of(platform, XRP) == []


def test_a_market_that_is_added_joins_the_feed_cuts_no_other_and_equals_the_provider_s(platform: Platform) -> None:
    before = until("the first feed is proven", lambda: feeds_of(platform, BTC), 30)
    added = platform.manage("add_market", SOL)
    assert added.returncode == 0 and "is followed" in added.stdout, added.stderr
    until("its first trade is stored", lambda: platform.api("trades", market=SOL, limit=1).json()["trades"], 30)
    until("its feed is proven", lambda: feeds_of(platform, SOL), 30)
    first = feeds_of(platform, SOL)[0][0]
    minutes = -(-int(first.timestamp()) // 60) * 60  # the first whole one
    last = minutes + 3 * 60
    platform_at = until(
        "three minutes are live", lambda: live_until(platform, SOL, last + 60), 60, longest_pause=PATIENT_S
    )
    assert platform_at
    ours = {row[0] // 1000: row for row in platform.candles(SOL, limit=200)["candles"] if row[8] == "live" and row[9]}
    # On a busy machine a number that was missed takes the beginning of the span back after it was read above.
    proven = -(-int(feeds_of(platform, SOL)[0][0].timestamp()) // 60) * 60
    wanted = range(max(minutes, proven), last + 60, 60)
    assert len(wanted) >= 2
    until("the provider's answer is final", lambda: platform.provider_now() > last + 60 + 100, 60)
    theirs = platform.provider_candles(SOL, last, 6)
    for start in wanted:
        if start not in ours:
            assert not theirs[start]["volumefrom"], (start, feeds_of(platform, SOL), platform.candles(SOL, limit=10))
            continue
        _, _, high, low, close, volume, *_ = ours[start]
        row = theirs[start]
        assert (float(high), float(low), float(close)) == (row["high"], row["low"], row["close"])
        assert float(Decimal(volume)) == row["volumefrom"]
    assert [(start, reason) for start, _, reason in feeds_of(platform, BTC)] == [(s, r) for s, _, r in before]
    assert len(feeds_of(platform, SOL)) == 1


def test_both_clients_follow_through_the_death_of_whatever_serves_them(platform: Platform) -> None:
    address, killed = f"http://127.0.0.1:{platform.port}", ("web", "sse", "worker", "fixed-consumer")
    until("the feed is proven", lambda: feeds_of(platform, BTC), 30)
    with Client(address) as ck:
        known = ck.candles(BTC, "1m", limit=20, gaps="allow")
    with Follower(address, known, waits=True) as one, Follower(address, known, waits=False) as other:
        before = {name: platform.kill(name) for name in killed}
        until("all are back", lambda: all(platform.back(*pid) for pid in before.items()), 60)
        until("the API answers", platform.ready, 60)
        soon = datetime.fromtimestamp(platform.provider_now() + 90, UTC)
        for follower in (one, other):
            until("what came meanwhile is followed", partial(follower.is_at, soon), 60)
            # A minute may be merged with the provider's at any time: it is then sent again.
            until("it has what is stored", partial(has_what_is_stored, follower, address, known[0].time, soon), 60)
    for follower in (one, other):
        followed = [candle for candle in follower.rows.values() if candle.closed]
        assert (follower.snapshots, follower.repeated) == ([], [])
        assert soon - followed[-1].time < 3 * MINUTE, "none is missing at the end"
        assert len(followed) > sum(candle.closed for candle in known)


def has_what_is_stored(follower: Follower, address: str, start: datetime, stop: datetime) -> bool:
    """Compare the closed minutes from start to stop that were sent with those that are stored now."""
    with Client(address) as ck:
        stored = ck.candles(BTC, "1m", start, gaps="allow").rows
    closed = [candle for candle in stored if candle.closed and candle.time < stop]
    return closed == [candle for candle in follower.rows.values() if candle.closed and candle.time < stop]


def live_until(platform: Platform, market: str, wanted: int) -> bool:
    return (platform.api(f"markets/{market}").json()["live_until"] or 0) >= wanted * 1000
