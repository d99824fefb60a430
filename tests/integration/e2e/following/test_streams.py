"""An application asks for a market that nobody watches, follows it, and lets it go again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.support.e2e.followed import BTC, SPEED
from tests.support.e2e.platform import Platform
from tests.support.polling import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
OTHERS = ("coordinator", "producer", "worker")
# No other test of the folder follows these.
ALONE, KILLED_MEANWHILE = "kraken:ETH-EUR", "bitstamp:BTC-USD"
TRADED = "select 1 from tick t join market m on m.id = t.market_id where m.symbol = %s limit 1"
ON_TOPIC = "select 1 from feed_position p join market m on m.id = p.market_id where m.symbol = %s and p.topic = %s"
FEEDS = "select count(*) from feed_position p join market m on m.id = p.market_id where m.symbol = %s and p.stop > %s"
NEWEST_TOPIC = "select name, state, error from dynamic_topic order by id desc limit 1"
LIVE = "select max(c.stop) from coverage c join market m on m.id = c.market_id where m.symbol = %s and c.feed like %s"


@pytest.fixture(scope="module")
def writer(platform: Platform) -> Iterator[httpx.Client]:
    """One who may write."""
    made = platform.manage("create_api_key", "follower", "--write")
    key = next(word for word in made.stdout.split() if word.startswith("ck_"))
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{platform.port}/api/v1/", headers=headers, timeout=30) as client:
        yield client


def ask(writer: httpx.Client, market: str, timeframe: str) -> dict[str, Any]:
    answer = writer.post("streams", json={"market": market, "timeframe": timeframe})
    assert answer.status_code in (200, 202), answer.text
    return dict(answer.json())


def shown(platform: Platform, stream: dict[str, Any]) -> dict[str, Any]:
    return dict(platform.api(f"streams/{stream['id']}").json())


def is_live(platform: Platform, stream: dict[str, Any]) -> dict[str, Any] | None:
    body = shown(platform, stream)
    assert body["state"] != "failed", body
    return body if body["state"] == "live" else None


def full(platform: Platform, market: str) -> dict[str, Any] | None:
    """Return the newest candles once there are as many as a first chart shows, and no gap among them."""
    found = platform.candles(market, limit=120)
    is_whole = not any(part["state"] == "gap" for part in found["coverage"])
    return found if is_whole and len(found["candles"]) > 60 else None


def is_quiet(platform: Platform, market: str) -> bool:
    """Return whether nothing of the market was sent to us within the last 3 s here."""
    lines = (json.loads(line) for line in platform.sent())
    last = max(line["at"] for line in lines if line["event"] == "trade" and line["market"] == market)
    return bool(last < (platform.provider_now() - 3 * SPEED) * 1e9)


def test_from_asking_to_the_first_live_candle_and_to_the_end(platform: Platform, writer: httpx.Client) -> None:
    began = time.monotonic()
    stream = ask(writer, ALONE, "1m")
    until("its first trade is stored", lambda: platform.rows(TRADED, ALONE), 30)
    print(f"first trade stored {time.monotonic() - began:.1f} s after the question")
    body = until("the stream is live", lambda: is_live(platform, stream), 30)
    taken = [step["step"] for step in body["steps"] if step["at"] is not None]
    assert {"requested", "live"} <= set(taken), body["steps"]
    assert body["topic"].startswith("dyn-kraken-ETH-EUR-g")
    topic = body["topic"]
    until("proven by the topic's own feed", lambda: platform.rows(LIVE, ALONE, f"{topic}/%")[0][0], 60)
    assert platform.rows(ON_TOPIC, ALONE, "tick-data") == []
    until("a full chart without a gap", lambda: full(platform, ALONE), 60)

    joined = ask(writer, ALONE, "5m")  # the topic serves every timeframe
    assert until("live at once", lambda: is_live(platform, joined), 10)["topic"] == topic
    assert ask(writer, ALONE, "1m")["id"] == stream["id"]

    for one in (stream, joined):
        assert writer.delete(f"streams/{one['id']}").status_code == 202
    until("the topic is gone", lambda: platform.rows(NEWEST_TOPIC)[0] == (topic, "retired", None), 60)
    assert shown(platform, stream)["state"] == "ended"
    until("the provider sends it no more", lambda: is_quiet(platform, ALONE), 30)


def test_a_market_that_is_followed_too_is_stored_once(platform: Platform, writer: httpx.Client) -> None:
    stream = ask(writer, BTC, "1m")
    body = until("the stream is live", lambda: is_live(platform, stream), 30)
    since = datetime.fromtimestamp(platform.provider_now(), UTC)
    until("both feeds go on", lambda: platform.rows(FEEDS, BTC, since)[0][0] == 2, 60)
    twice = "select count(*) - count(distinct (market_id, ts, trade_id)) from tick"
    assert platform.rows(twice) == [(0,)]
    day = since.date()
    verified = platform.manage("verify", BTC, "--from", str(day), "--to", str(day + timedelta(days=1)))
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert writer.delete(f"streams/{body['id']}").status_code == 202
    until("the topic is gone", lambda: platform.rows(NEWEST_TOPIC)[0][1] == "retired", 60)


# One of them here, the others where time is no matter.
@pytest.mark.parametrize(
    "victim", ["dynamic-consumer", *(pytest.param(name, marks=pytest.mark.chaos) for name in OTHERS)]
)
def test_whoever_is_killed_meanwhile_the_stream_becomes_live(
    platform: Platform, writer: httpx.Client, victim: str
) -> None:
    stream = ask(writer, KILLED_MEANWHILE, "1m")
    platform.kill(victim)
    body = until("the stream is live", lambda: is_live(platform, stream), 90)
    topic = body["topic"]
    until("and has data", lambda: platform.rows(LIVE, KILLED_MEANWHILE, f"{topic}/%")[0][0], 60)
    assert writer.delete(f"streams/{body['id']}").status_code == 202
    until("the topic is gone", lambda: platform.rows(NEWEST_TOPIC)[0][:2] == (topic, "retired"), 90)
