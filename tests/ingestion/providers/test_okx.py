"""What is peculiar to OKX. Frames and rows here are made up in its documented shape."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest

from datastore.reference.traits import Proof
from ingestion.providers.okx.provider import PROVIDER, PROVIDER_BY_IDS
from ingestion.providers.okx.stream import OkxStream
from ingestion.providers.port import (
    Blocked,
    CandlePage,
    CandlesAsked,
    Event,
    FeedRefused,
    Garbage,
    ListedMarket,
    PairList,
    RateLimited,
    ReconnectSoon,
    Refused,
    TradePage,
    TradesAsked,
    TradeSeen,
    Unavailable,
)
from tests.support import forked_python
from tests.support.ingestion.venues import HTML, OKX_VENUE, Made, answer, query_of

ROOT = Path(__file__).parents[3]
START = 1_787_626_680_000_000


def read(frame: Mapping[str, object] | str, stream: OkxStream | None = None) -> tuple[Event, ...]:
    raw = frame if isinstance(frame, str) else json.dumps(frame)
    return (stream or OkxStream()).read_frame(raw.encode())


def row(**other: object) -> dict[str, object]:
    return OKX_VENUE.row_of(Made(674_510_826, START)) | other  # type: ignore[no-any-return]


def test_every_trade_of_a_session_is_counted_and_the_words_are_its_own() -> None:
    stream = OkxStream()
    trades = [event for raw in OKX_VENUE.frames()[1:] for event in stream.read_frame(raw)]
    assert len(trades) == 45 and isinstance(trades[0], TradeSeen)
    first = trades[0]
    assert (first.sub, first.id, first.price, first.amount, first.side) == (
        "BTC-USDT", "999999981", Decimal("67412"), Decimal("0.001517"), -1,
    )  # fmt: skip
    assert first.stamp == first.ts == 1_709_884_021_306_000  # no other time is sent


@pytest.mark.parametrize(
    ("count", "first"), [({}, 674_510_826), ({"count": "1"}, 674_510_826), ({"count": "4"}, 674_510_823)]
)
def test_a_row_covers_as_many_ids_as_it_counts_and_is_named_by_the_last(count: dict[str, str], first: int) -> None:
    (trade,) = read({"arg": {"channel": "trades", "instId": "BTC-USDT"}, "data": [row(**count)]})
    assert isinstance(trade, TradeSeen) and (trade.id, trade.first, trade.last) == ("674510826", first, 674_510_826)


@pytest.mark.parametrize("count", ["0", "-3", "674510827", "1.5", "many", 10**30])
def test_a_count_that_cannot_be_is_garbage(count: object) -> None:
    (seen,) = read({"arg": {"channel": "trades", "instId": "BTC-USDT"}, "data": [row(count=count)]})
    assert isinstance(seen, Garbage) and seen.sub == "BTC-USDT"


def test_all_rows_of_a_frame_are_read_and_a_torn_one_names_its_market() -> None:
    frame = {"arg": {"channel": "trades-all", "instId": "BTC-USDT"}, "data": [row(), row(px=None), row(tradeId="7")]}
    events = read(frame)
    assert [type(event) for event in events] == [TradeSeen, Garbage, TradeSeen]
    assert isinstance(events[1], Garbage) and events[1].sub == "BTC-USDT"


def test_a_ping_is_answered_by_a_word_that_says_nothing() -> None:
    assert OkxStream().keep_alive() == b"ping"
    assert read("pong") == ()


def test_the_channel_of_every_single_trade_is_asked_for() -> None:
    (frame,) = map(json.loads, OkxStream().subscribe(["BTC-USDT", "ETH-USDT"]))
    assert frame == {
        "op": "subscribe",
        "args": [{"channel": "trades-all", "instId": "BTC-USDT"}, {"channel": "trades-all", "instId": "ETH-USDT"}],
    }


def test_a_notice_says_that_the_connection_ends_within_a_minute() -> None:
    text = "The connection will soon be closed for a service upgrade. Please reconnect."
    assert read({"event": "notice", "code": "64008", "msg": text, "connId": "a4d3ae55"}) == (ReconnectSoon(text, 60.0),)


def test_errors_are_of_a_market_of_the_connection_or_of_our_haste() -> None:
    stream = OkxStream()
    stream.subscribe(["BTC-USDT"])
    (all_of_it,) = read({"event": "error", "code": "60012", "msg": "Invalid request: {}"}, stream)
    assert isinstance(all_of_it, FeedRefused) and (all_of_it.sub, all_of_it.http_status) == (None, 400)
    (haste,) = read({"event": "error", "code": "60014", "msg": "Requests too frequent"}, stream)
    assert isinstance(haste, FeedRefused) and haste.http_status == 429
    (other,) = read({"event": "error", "code": "60018", "msg": "instId:ETH-USDT doesn't exist"}, stream)
    assert isinstance(other, FeedRefused) and other.sub is None


def test_trades_are_asked_for_by_id_and_days_begin_at_midnight() -> None:
    history = PROVIDER.history
    path = history.trades_request(TradesAsked("BTC-USDT", None, Made(77, START).mark)).path
    assert path.startswith("/api/v5/market/history-trades?")
    assert query_of(path) == {"instId": "BTC-USDT", "type": "1", "after": "77", "limit": "100"}
    assert "after" not in query_of(history.trades_request(TradesAsked("BTC-USDT", None)).path)
    day = 86_400_000_000
    asked = query_of(history.candles_request(CandlesAsked("BTC-USDT", 86_400, 20_000 * day, 20_300 * day)).path)
    assert asked["bar"] == "1Dutc" and asked["limit"] == "300"
    assert (int(asked["before"]) + 1, int(asked["after"])) == (20_000 * day // 1000, 20_300 * day // 1000)


def page_of(asked: TradesAsked, trades: list[Made]) -> TradePage:
    history = PROVIDER.history
    page = history.read_trades(asked, None, OKX_VENUE.answer(trades, history.trades_request(asked).path))
    assert isinstance(page, TradePage)
    return page


def test_a_fill_of_a_page_is_the_same_trade_as_that_of_the_socket() -> None:
    made = Made(674_510_826, START)
    (live,) = read(OKX_VENUE.frame_of(made))
    asked = TradesAsked("BTC-USDT", Made(674_510_825, START).mark, Made(674_510_827, START).mark)
    page = PROVIDER.history.read_trades(
        asked, None, OKX_VENUE.answer([made], PROVIDER.history.trades_request(asked).path)
    )
    assert isinstance(page, TradePage) and page.trades == (live,)


def test_a_page_says_nothing_of_the_newest_trade_as_it_may_come_from_an_older_copy() -> None:
    made = [Made(number, START + number * 1000) for number in range(1, 4)]
    asked = TradesAsked("BTC-USDT", made[0].mark)
    page = PROVIDER.history.read_trades(
        asked, None, OKX_VENUE.answer(made, PROVIDER.history.trades_request(asked).path)
    )
    assert isinstance(page, TradePage) and len(page.trades) == 2 and page.newest is None


def test_a_candle_that_is_not_confirmed_is_none() -> None:
    asked = CandlesAsked("BTC-USDT", 60, START, START + 120_000_000)
    page = PROVIDER.history.read_candles(asked, answer(OKX_VENUE.candles.replace('"115000.1","1"', '"115000.1","0"')))
    assert isinstance(page, CandlePage) and [row.time for row in page.rows] == [START // 10**6]


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [(429, "50011", RateLimited), (200, "50011", RateLimited), (200, "50001", Unavailable), (503, "50013", Unavailable),
     (200, "51001", Refused), (400, "50014", Refused), (200, "59999", Unavailable), (403, "50119", Blocked)],
)  # fmt: skip
def test_errors_come_by_their_code_whatever_the_status(status: int, code: str, expected: type) -> None:
    body = json.dumps({"code": code, "msg": "so it is", "data": []})
    found = PROVIDER.history.read_trades(TradesAsked("BTC-USDT", None), None, answer(body, status))
    assert isinstance(found, expected) and not isinstance(found, TradePage)
    assert found.reason == f"so it is ({code})"


def test_a_blocked_region_is_told_of_the_hosts_of_its_own() -> None:
    for status in (403, 451):
        found = PROVIDER.catalogue.read_pairs(answer(HTML, status))
        assert isinstance(found, Blocked) and "us.okx.com" in found.remedy and "OKX_WS_URL" in found.remedy


def test_only_pairs_of_the_spot_market_are_listed() -> None:
    found = PROVIDER.catalogue.read_pairs(answer(OKX_VENUE.pairs))
    assert isinstance(found, PairList)
    first = found.markets[0]
    assert isinstance(first, ListedMarket) and (first.tick, first.lot) == (Decimal("0.1"), Decimal("1e-8"))
    assert [market.word for market in found.markets] == ["live", "suspend", "preopen"]


@pytest.mark.slow
@pytest.mark.parametrize(("given", "proves"), [("", False), ("0", False), ("1", True)])
def test_ids_prove_only_where_the_setting_says_so(given: str, proves: bool, tmp_path: Path) -> None:
    code = (
        "import django; django.setup(); from datastore.reference.provider_registry import traits_of;"
        "print(*traits_of('okx').proofs)"
    )
    env = os.environ | {
        "DJANGO_SETTINGS_MODULE": "config.settings", "CANDLEKEEP_HOME": str(tmp_path), "OKX_IDS_PROVE": given,
    }  # fmt: skip
    said = forked_python.run("-c", code, env=env)
    assert said.returncode == 0, said.stderr
    assert said.stdout.split() == (["ids"] if proves else []) + ["connection", "candle"]


def test_but_for_the_proof_both_are_one_provider() -> None:
    assert PROVIDER_BY_IDS.traits.proofs == (Proof.IDS, *PROVIDER.traits.proofs)
    assert (PROVIDER_BY_IDS.name, PROVIDER_BY_IDS.history) == (PROVIDER.name, PROVIDER.history)
