"""One `up` on three venues' own protocols: holes are named to the trade and filled trade by trade.

A minute of the venues takes 10 s here. What is served is compared with the venues' own lists of trades.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.clients.recipes import blocks, python_blocks
from tests.support.e2e.platform import Platform
from tests.support.e2e.real_clients import CLIENTS, run_code, run_script
from tests.support.polling import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
SPEED, RATE = 6, 3
COINBASE, BINANCE, KRAKEN = "coinbase:BTC-USD", "binance:BTC-USDT", "kraken:BTC-EUR"
MARKETS = (COINBASE, BINANCE, KRAKEN)
MINUTE_MS = 60_000
NONE: dict[str, list[Any]] = {"coinbase": [], "binance": [], "kraken": []}


@pytest.fixture(scope="module")
def platform(home: Path) -> Iterator[Platform]:
    env = {
        "PROVIDERS": "coinbase,binance,kraken",
        "SIMULATOR_ARGS": f"--speed {SPEED} --rate {RATE}",
        "STALE_AFTER": str(90 * SPEED),
        "MARKETS": ",".join(MARKETS),
    }
    with Platform(home, env) as running:
        yield running


@pytest.fixture(autouse=True)
def within_limits(platform: Platform) -> Iterator[None]:
    """Whatever a test did, no venue was asked more than it allows."""
    yield
    assert exceeded(platform) == NONE


def exceeded(platform: Platform) -> dict[str, list[Any]]:
    """Return the limits that were exceeded, by venue."""
    report = platform.provider.get("/control/venues").json()
    return {name: [limit for limit in told["limits"] if limit["exceeded"]] for name, told in report.items()}


def venue(platform: Platform, name: str, fault: str, **body: object) -> None:
    platform.control(f"venues/{name}/{fault}", **body)


def now_ms(platform: Platform) -> int:
    return int(platform.provider_now() * 1000)


def true_candles(platform: Platform, market: str, start: int, stop: int) -> dict[int, list[Any]]:
    """Return open, high, low, close, volume and quote volume by minute (ms), of the venue's own list of trades."""
    asked: dict[str, str | int] = {"market": market, "from": start * 1_000_000, "to": stop * 1_000_000}
    minutes: dict[int, list[Any]] = {}
    for _, _, _, ns, price, amount, _ in sorted(
        platform.provider.get("/control/trades", params=asked).json()["trades"]
    ):
        minutes.setdefault(ns // 1_000_000 // MINUTE_MS * MINUTE_MS, []).append((Decimal(price), Decimal(amount)))
    return {
        at: [
            of[0][0],
            max(price for price, _ in of),
            min(price for price, _ in of),
            of[-1][0],
            sum(amount for _, amount in of),
            sum(price * amount for price, amount in of),
        ]
        for at, of in minutes.items()
    }


def live_from(platform: Platform, market: str) -> int | None:
    """Return the first minute (ms) of the market that ids prove, None if there is none yet."""
    body = platform.candles(market, limit=100)
    return next((part["from"] for part in body["coverage"] if part["proof"] == "ids"), None)


def unproven(platform: Platform, market: str, start: int, stop: int) -> list[tuple[Any, ...]]:
    """Return the parts of [start, stop) that ids do not prove."""
    body = platform.candles(market, **{"from": start, "to": stop, "wait": 0})
    parts = [(part["state"], part["proof"], part["reason"]) for part in body["coverage"] if part["proof"] != "ids"]
    return parts or ([] if body["complete_until"] >= stop else [("open", None, None)])


def expect_true(platform: Platform, market: str, start: int, stop: int) -> None:
    rows = platform.candles(market, **{"from": start, "to": stop})["candles"]
    found = {row[0]: [Decimal(cell) for cell in row[1:7]] for row in rows}
    truth = true_candles(platform, market, start, stop)
    assert found == truth, market
    assert {row[8] for row in rows} == {"live"}


def test_every_minute_is_proven_by_ids_and_holes_are_filled_trade_by_trade(platform: Platform) -> None:
    ((before,),) = platform.rows("select coalesce(max(id), 0) from fetch_request")
    starts = {
        market: until(f"{market} proven by ids", lambda market=market: live_from(platform, market), 60)
        for market in MARKETS
    }
    venue(platform, "coinbase", "cut", seconds=30)
    venue(platform, "binance", "lose", market=BINANCE, count=5)
    venue(platform, "kraken", "omit", market=KRAKEN, seconds=60, share=0.2)
    stop = (now_ms(platform) // MINUTE_MS + 2) * MINUTE_MS
    until("the minutes with the holes are over", lambda: now_ms(platform) > stop, 40)
    for market, start in starts.items():
        until(f"{market} whole again", lambda m=market, s=start: not unproven(platform, m, s, stop), 40)
        expect_true(platform, market, start, stop)
    asked = "select first_id, last_id from fetch_request where resolution = 0 and last_id is not null and id > %s"
    missing = platform.rows(asked, before)
    assert sum(last - first + 1 for first, last in missing) >= 5, "the holes were asked for by their ids"


@pytest.mark.parametrize("market", MARKETS)
def test_what_was_traded_before_the_first_stored_trade_is_brought_by_a_command(platform: Platform, market: str) -> None:
    first = until(f"{market} proven by ids", lambda: live_from(platform, market), 60)
    start = first // MINUTE_MS * MINUTE_MS - 20 * MINUTE_MS
    done = platform.manage("backfill", market, "--trades", "--from", str(start), "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "About " in done.stdout and "the venue's ids prove" in done.stdout
    stop = first // MINUTE_MS * MINUTE_MS + MINUTE_MS
    assert unproven(platform, market, start, stop - MINUTE_MS) == []
    until("the first minute is over", lambda: not unproven(platform, market, start, stop), 40)
    expect_true(platform, market, start, stop)
    # Up to here: of what is traded meanwhile, the socket may still leave something out.
    again = platform.manage("backfill", market, "--trades", "--from", str(start), "--to", str(stop), "--yes")
    assert (again.returncode, "nothing to fetch" in again.stdout) == (0, True), again.stdout + again.stderr


def test_no_venue_is_asked_more_than_it_allows(platform: Platform) -> None:
    for market in MARKETS:
        until(f"{market} proven by ids", lambda market=market: live_from(platform, market), 60)
    assert exceeded(platform) == NONE


def test_what_a_venue_does_not_list_is_refused_with_its_reason(platform: Platform) -> None:
    answer = platform.api("candles", market="okx:BTC-USDT", timeframe="1m")
    assert answer.status_code == 404


def test_clients_of_binance_as_published_read_the_digits_of_get_candles(platform: Platform) -> None:
    def closed() -> list[Any]:
        rows = platform.candles(BINANCE, limit=30, wait=10)["candles"]
        return [row for row in rows if row[9]]

    until("closed candles", lambda: len(closed()) >= 5, 60)
    since = closed()[0][0]
    rows = closed()[:3]
    streams = f"ws://127.0.0.1:{platform.env['SSE_PORT']}"
    found = json.loads(run_script(CLIENTS, str(platform.http.base_url), streams, "BTC/USDT", "BTCUSDT", str(since)))

    assert [kline[:6] for kline in found["klines"]] == [row[:6] for row in rows]
    assert [kline[6:9] for kline in found["klines"]] == [[row[0] + 59_999, row[6] or "0", row[7] or 0] for row in rows]
    assert found["ohlcv"] == [[row[0], *map(float, row[1:6])] for row in rows]
    assert set(found["markets"]) == {"BTC/USD", "BTC/USDT", "BTC/EUR"}
    assert found["markets"]["BTC/USDT"]["price"] == 0.01, "the step that the venue lists"
    assert "code=-1121" in found["refusal"] and "There is no market 'NONESUCH'" in found["refusal"]
    ids = [int(trade["id"]) for trade in found["trades"]]
    assert ids == sorted(ids) and len(set(ids)) == 5

    assert len({json.dumps(state) for state in found["watched"]}) > 1, "the newest candle moves"
    assert found["watched"] == sorted(found["watched"], key=lambda state: float(state[0]))
    klines = [event["k"] for event in found["pushed"]]
    assert {(event["e"], event["s"]) for event in found["pushed"]} == {("kline", "BTCUSDT")}
    assert all(-1 in (one["L"], other["L"]) or one["L"] <= other["L"] for one, other in pairwise(klines))


@pytest.mark.parametrize("block", python_blocks("ccxt", "python-binance"), ids=lambda block: block.split("\n", 1)[0])
def test_a_recipe_for_clients_of_binance_runs_as_it_is_written(platform: Platform, block: str) -> None:
    here = block.replace("127.0.0.1:8000", f"127.0.0.1:{platform.port}")
    printed = run_code(here.replace("127.0.0.1:8001", f"127.0.0.1:{platform.env['SSE_PORT']}"))
    assert len(printed.splitlines()) >= 3, printed


def test_the_configuration_for_freqtrade_leads_the_ccxt_that_it_uses_here(platform: Platform) -> None:
    block = blocks("freqtrade", f"http://127.0.0.1:{platform.port}")["json"]
    told = json.loads(f"{{{block}}}")["exchange"]
    assert told["ccxt_config"] == told["ccxt_async_config"]
    made = f"exchange = ccxt.{told['name']}({told['ccxt_config']!r})"
    asked = f"print(exchange.fetch_ohlcv({told['pair_whitelist'][0]!r}, '1m', limit=2))"
    assert run_code(f"import ccxt\n{made}\n{asked}").startswith("[[")
