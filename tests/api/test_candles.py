from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from urllib.parse import quote

import pytest
from django.test import Client

from datastore.api.params.parameter import MAX_ROWS
from datastore.api.params.times import to_ms
from datastore.api.responses.json_response import unpack
from datastore.models import GapRepair, Market
from datastore.series.row_format import COLUMNS
from datastore.timeframes.timeframe import TIMEFRAMES
from tests.support.api.rows import BEGAN, MINUTE, SYMBOL, Feed, at, body_of
from tests.support.datastore.records import store

ADDRESS = f"/api/v1/candles?market={SYMBOL}&timeframe=1m"
KEYS = [
    "market",
    "timeframe",
    "provider",
    "simulated",
    "server_time",
    "watermark",
    "version",
    "cursor",
    "stream_url",
    "complete",
    "complete_until",
    "corrected",
    "coverage",
    "columns",
    "candles",
    "next",
    "request",
]


def ms(seconds: float) -> int:
    return at(seconds) // 1000


@pytest.fixture
def five_minutes(market: Market) -> Market:
    """Trades in the minutes 0, 1 and 3, proven from 0 to 5 minutes; minutes 2 and 4 are quiet."""
    feed = Feed()
    store(
        feed.opened(),
        feed.trade(1, "100.10", "0.5"),
        feed.trade(30, "99.0", "1"),
        feed.trade(61, "101", "2"),
        feed.trade(200, "102.000", "0.00000001"),
        feed.watermark(300),
    )
    return market


@pytest.fixture
def span() -> str:
    return f"&from={ms(0)}&to={ms(300)}"


def test_the_answer_has_the_shape_of_the_interface(client: Client, five_minutes: Market, span: str) -> None:
    body = body_of(client, ADDRESS + span)
    assert list(body) == KEYS
    assert body["columns"] == list(COLUMNS)
    assert (body["market"], body["timeframe"], body["provider"], body["simulated"]) == (
        SYMBOL,
        "1m",
        "simulator/test",
        True,
    )
    assert (body["request"], body["next"]) == (None, None)
    assert body["stream_url"] == f"/api/v1/candles/stream?market={SYMBOL}&timeframe=1m"
    assert body["complete"] is True
    assert body["complete_until"] == ms(300)
    assert body["version"] == Market.objects.get(symbol=SYMBOL).version


def test_candles_are_exact_text_labelled_by_their_open(client: Client, five_minutes: Market, span: str) -> None:
    assert body_of(client, ADDRESS + span)["candles"] == [
        [ms(0), "100.1", "100.1", "99", "99", "1.5", "149.05", 2, "live", True, 0],
        [ms(60), "101", "101", "101", "101", "2", "202", 1, "live", True, 0],
        [ms(180), "102", "102", "102", "102", "0.00000001", "0.00000102", 1, "live", True, 0],
    ]


def test_numbers_are_given_without_quotes_and_with_all_digits(client: Client, five_minutes: Market, span: str) -> None:
    raw = client.get(f"{ADDRESS}{span}&numbers=float").content.decode()
    assert f'[{ms(180)},102,102,102,102,0.00000001,0.00000102,1,"live",true,0]' in raw


def test_the_certificate_covers_the_range_and_counts_quiet_minutes(
    client: Client, five_minutes: Market, span: str
) -> None:
    assert body_of(client, ADDRESS + span)["coverage"] == [
        {
            "from": ms(0),
            "to": ms(300),
            "state": "live",
            "proof": "connection",
            "quiet": 2,
            "reason": None,
            "code": None,
            "repair": None,
        }
    ]


def test_a_hole_is_named_with_its_reason_and_repair(client: Client, market: Market) -> None:
    feed, later = Feed(), Feed(feed="tick-data/two")
    store(feed.opened(), feed.trade(1, "1"), feed.watermark(120), feed.closed(120, "socket lost"))
    store(later.opened(240), later.watermark(360, start=240))
    GapRepair.objects.create(
        market=market,
        resolution=60,
        start=BEGAN + 2 * MINUTE,
        stop=BEGAN + 4 * MINUTE,
        reason="socket lost",
        final=True,
    )
    body = body_of(client, f"{ADDRESS}&from={ms(0)}&to={ms(360)}")
    (hole,) = [part for part in body["coverage"] if part["state"] not in ("live", "open", "pending")]
    assert (hole["from"], hole["to"], hole["state"]) == (ms(120), ms(240), "gap")
    assert "socket lost" in hole["reason"]
    assert hole["repair"]["final"] is True
    assert body["complete"] is False


def test_by_default_the_newest_500_buckets_end_with_the_open_one(client: Client, five_minutes: Market) -> None:
    body = body_of(client, ADDRESS)
    first, last = body["coverage"][0]["from"], body["coverage"][-1]["to"]
    assert last - first == 500 * 60_000
    assert body["server_time"] < last <= body["server_time"] + 60_000
    assert len(body["candles"]) == 3


def test_limit_counts_buckets_back_from_to(client: Client, five_minutes: Market) -> None:
    body = body_of(client, f"{ADDRESS}&to={ms(240)}&limit=2")
    assert [row[0] for row in body["candles"]] == [ms(180)]
    assert (body["coverage"][0]["from"], body["coverage"][-1]["to"]) == (ms(120), ms(240))


def test_closed_only_leaves_the_open_bucket_out(client: Client, market: Market) -> None:
    feed = Feed()
    now = datetime.now(UTC)
    store(feed.opened(), feed.trade((now - BEGAN).total_seconds(), "5"))
    assert [row[9] for row in body_of(client, ADDRESS)["candles"]] == [False]
    assert body_of(client, f"{ADDRESS}&closed_only=1")["candles"] == []


def test_pages_of_a_long_range_hold_every_candle_once(client: Client, five_minutes: Market, span: str) -> None:
    whole = body_of(client, ADDRESS + span)["candles"]
    address: str | None = f"{ADDRESS}{span}&limit=2"
    seen = []
    while address:
        body = body_of(client, address)
        seen += body["candles"]
        address = body["next"]
    assert seen == whole


@pytest.mark.parametrize("what", ["candles", "coverage"])
def test_a_range_that_ends_in_the_far_future_has_no_page_behind_the_open_bucket(
    client: Client, five_minutes: Market, what: str
) -> None:
    address, pages = f"/api/v1/{what}?market={SYMBOL}&timeframe=1d&from={ms(0)}&to=2099-01-01&limit=1&wait=0", 0
    address = address.removesuffix("&wait=0") if what == "coverage" else address
    days = (datetime.now(UTC) - datetime.fromtimestamp(at(0) / 1e6, UTC)).days + 2
    while address:
        address, pages = body_of(client, address)["next"], pages + 1
        assert pages <= days
    assert pages


def test_a_range_of_more_than_ten_thousand_buckets_names_its_next_page(client: Client, five_minutes: Market) -> None:
    start = ms(0) - MAX_ROWS * 60_000
    body = body_of(client, f"{ADDRESS}&from={start}&to={ms(300)}&closed_only=1&numbers=float")
    expected = f"market={SYMBOL}&timeframe=1m&from={ms(0)}&to={ms(300)}&closed_only=1&numbers=float"
    assert body["next"] == f"/api/v1/candles?{expected}"
    assert len(body_of(client, body["next"])["candles"]) == 3


def test_buckets_without_a_candle_are_filled_on_request(client: Client, five_minutes: Market, span: str) -> None:
    plain = body_of(client, ADDRESS + span)
    nulls = body_of(client, f"{ADDRESS}{span}&fill=null")
    assert [row[0] for row in nulls["candles"]] == [ms(60 * n) for n in range(5)]
    assert nulls["candles"][2] == [ms(120), *[None] * 7, "fill", True, 0]
    flats = body_of(client, f"{ADDRESS}{span}&fill=flat")
    assert flats["candles"][2] == [ms(120), "101", "101", "101", "101", "0", "0", 0, "fill", True, 0]
    assert nulls["coverage"] == flats["coverage"] == plain["coverage"]
    raw = client.get(f"{ADDRESS}{span}&fill=flat&numbers=float").content.decode()
    assert f'[{ms(120)},101,101,101,101,0,0,0,"fill",true,0]' in raw


@pytest.mark.parametrize("fill", ["null", "flat"])
def test_pages_are_filled_as_the_whole_is(client: Client, five_minutes: Market, span: str, fill: str) -> None:
    whole = body_of(client, f"{ADDRESS}{span}&fill={fill}")["candles"]
    address: str | None = f"{ADDRESS}{span}&fill={fill}&limit=2"
    seen = []
    while address:
        body = body_of(client, address)
        seen += body["candles"]
        address = body["next"]
    assert seen == whole


@pytest.mark.parametrize("timeframe", TIMEFRAMES)
def test_every_timeframe_answers_with_contiguous_segments(client: Client, five_minutes: Market, timeframe: str) -> None:
    body = body_of(client, f"/api/v1/candles?market={SYMBOL}&timeframe={timeframe}&limit=200")
    frame = TIMEFRAMES[timeframe]
    edges = [(part["from"], part["to"]) for part in body["coverage"]]
    assert all(stop == start for (_, stop), (start, _) in pairwise(edges))
    first = datetime.fromtimestamp(edges[0][0] / 1000, UTC)
    assert frame.after(first, 200) == datetime.fromtimestamp(edges[-1][1] / 1000, UTC)
    assert sum(row[7] for row in body["candles"]) >= 1


@pytest.mark.parametrize("limit", ["1", "10000"])
@pytest.mark.parametrize("timeframe", ["1m", "1w", "1M"])
@pytest.mark.parametrize("edge", ["2000-01-01", "2099-12-31"])
def test_the_edges_of_time_are_answered(
    client: Client, five_minutes: Market, timeframe: str, limit: str, edge: str
) -> None:
    question = f"/api/v1/candles?market={SYMBOL}&timeframe={timeframe}&limit={limit}"
    body_of(client, f"{question}&to={edge}")
    body_of(client, f"{question}&from=2000-01-01&to=2099-12-31")


@pytest.mark.parametrize("timeframe", ["1m", "1w", "1M"])
def test_a_page_may_reach_to_the_end_of_time(client: Client, five_minutes: Market, timeframe: str) -> None:
    address = f"/api/v1/candles?market={SYMBOL}&timeframe={timeframe}&limit=10000&from=2099-12-30&to=4102444799"
    last = body_of(client, address)
    assert last["next"] is None
    end = TIMEFRAMES[timeframe].ceil(datetime(2100, 1, 1, tzinfo=UTC))
    assert last["coverage"][-1]["to"] == to_ms(end)


def test_the_same_answer_is_304_by_its_etag_until_something_changes(
    client: Client, five_minutes: Market, span: str
) -> None:
    tag = client.get(ADDRESS + span)["ETag"]
    again = client.get(ADDRESS + span, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert again["ETag"] == tag
    assert again["Cache-Control"] == "no-cache"
    feed = Feed(feed="tick-data/two")
    store(feed.trade(62, "100"))
    changed = client.get(ADDRESS + span, headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed["ETag"] != tag


def test_another_question_has_another_etag(client: Client, five_minutes: Market, span: str) -> None:
    questions = [span, span + "&numbers=float", span + "&closed_only=1", f"&from={ms(0)}&to={ms(240)}"]
    questions += [span + "&fill=null", span + "&fill=flat"]
    tags = {client.get(ADDRESS + question)["ETag"] for question in questions}
    tags.add(client.get(f"/api/v1/coverage?market={SYMBOL}&timeframe=1m{span}")["ETag"])
    assert len(tags) == 7


def test_head_gives_the_headers_alone(client: Client, five_minutes: Market, span: str) -> None:
    head = client.head(ADDRESS + span)
    assert (head.status_code, head.content) == (200, b"")
    assert head["Content-Type"] == "application/json"
    assert head["ETag"] == client.get(ADDRESS + span)["ETag"]


def test_the_cursor_names_history_version_and_watermark(client: Client, five_minutes: Market, span: str) -> None:
    body = body_of(client, ADDRESS + span)
    series, version, watermark = unpack(body["cursor"], tuple[str, int, int])
    assert (series, version, watermark) == (str(five_minutes.series), body["version"], body["watermark"])


@pytest.mark.parametrize("asked", ["eth/usd", "ETH-USD", "COINBASE:ETHUSD", "coinbase:eth/usd"])
def test_a_market_is_understood_in_any_spelling(client: Client, market: Market, asked: str) -> None:
    body = body_of(client, f"/api/v1/candles?market={quote(asked)}&timeframe=1m")
    assert body["market"] == "coinbase:ETH-USD"


@pytest.mark.parametrize("spelling", ["{:%Y-%m-%dT%H:%M:%SZ}", "{:%Y-%m-%dT%H:%M}", "{:%Y-%m-%dT%H:%M:%S+00:00}"])
def test_a_range_in_iso_text_is_the_same_range(client: Client, five_minutes: Market, span: str, spelling: str) -> None:
    # The plus is left unescaped on purpose: many clients do.
    iso = f"&from={spelling.format(BEGAN)}&to={spelling.format(BEGAN + timedelta(minutes=5))}"
    assert body_of(client, ADDRESS + iso)["candles"] == body_of(client, ADDRESS + span)["candles"]


def test_coverage_is_the_certificate_alone_with_totals(client: Client, five_minutes: Market) -> None:
    start = ms(0) - 120_000
    body = body_of(client, f"/api/v1/coverage?market={SYMBOL}&timeframe=1m&from={start}&to={ms(300)}")
    assert [part["state"] for part in body["coverage"]] == ["gap", "live"]
    assert body["totals"] == {
        "milliseconds": {"gap": 120_000, "live": 300_000},
        "proven": {"connection": 300_000},
        "gaps": 1,
        "quiet": 2,
    }
    assert "candles" not in body
    assert body["complete"] is False
