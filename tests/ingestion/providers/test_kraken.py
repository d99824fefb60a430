"""What is peculiar to Kraken, and that its trades are its candles."""

from __future__ import annotations

import json
from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest

from datastore.reference.pairs import Listed
from ingestion.providers.answers import (
    Answer,
    CandlePage,
    CandleRow,
    CandlesAsked,
    PairList,
    RateLimited,
    Refused,
    TradePage,
    TradesAsked,
    Unavailable,
)
from ingestion.providers.events import Event, FeedRefused, Garbage, LastId, Stamped, Subscribed, TradeSeen, VenueStatus
from ingestion.providers.kraken.names import rest_name
from ingestion.providers.kraken.provider import PROVIDER
from ingestion.providers.kraken.stream import KrakenStream
from tests.support.ingestion.venues import AT, KRAKEN_VENUE, REAL, SAMPLES, Made, answer, needs_real, query_of

VENUE, SUB = KRAKEN_VENUE, "BTC/USDT"
START = 1_787_626_680_000_000
ALL = TradesAsked(SUB, None)


def read(frame: dict[str, Any] | str) -> tuple[Event, ...]:
    raw = frame if isinstance(frame, str) else json.dumps(frame)
    return KrakenStream().read_frame(raw.encode())


def row(**changes: str) -> str:
    fields = {
        "symbol": '"BTC/USD"', "side": '"sell"', "price": "63000.1", "qty": "0.00000842", "trade_id": "7",
        "timestamp": '"2026-08-02T14:19:07.241261Z"',
    } | changes  # fmt: skip
    return "{" + ",".join(f'"{name}":{text}' for name, text in fields.items()) + "}"


def trades_in(*rows: str, kind: str = "update") -> tuple[Event, ...]:
    return read(f'{{"channel":"trade","type":"{kind}","data":[{",".join(rows)}]}}')


def rolled_up(trades: tuple[TradeSeen, ...]) -> dict[int, CandleRow]:
    """Return the candle of each minute that has trades, by its start in seconds."""
    minutes = defaultdict[int, list[TradeSeen]](list)
    for trade in trades:
        minutes[trade.ts // 60_000_000 * 60].append(trade)
    return {
        time: CandleRow(
            time, found[0].price, max(each.price for each in found), min(each.price for each in found), found[-1].price,
            sum((each.amount for each in found), Decimal(0)), None, len(found),
        )
        for time, found in minutes.items()
    }  # fmt: skip


def compared(trades: bytes, candles: bytes) -> tuple[int, int]:
    """Return how many minutes lie wholly within the trades, and how many of these equal the venue's candle."""
    page = PROVIDER.history.read_trades(ALL, None, answer(trades))
    told = PROVIDER.history.read_candles(CandlesAsked(SUB, 60, 0, AT), answer(candles))
    assert isinstance(page, TradePage) and isinstance(told, CandlePage)
    assert not page.garbage and not told.unreadable
    ids = [int(trade.id) for trade in page.trades]
    assert ids == list(range(ids[0], ids[-1] + 1))
    ours = rolled_up(page.trades)
    first, last = min(ours), max(ours)  # the minute of the first trade may have others before it, the last one after
    whole = [candle for candle in told.rows if first < candle.time < last]
    assert all(candle.trades or candle.time not in ours for candle in whole)
    return len(whole), sum(candle == ours[candle.time] if candle.trades else candle.volume == 0 for candle in whole)


def test_trades_roll_up_to_the_candles_to_the_digit() -> None:
    files = (SAMPLES / "kraken-rest-trades.json", SAMPLES / "kraken-rest-ohlc.json")
    assert compared(*(file.read_bytes() for file in files)) == (14, 14)


@needs_real
def test_all_recorded_minutes_equal_the_trades() -> None:
    files = (REAL / "kraken-XBTUSDT-rest-trades.json", REAL / "kraken-XBTUSDT-rest-ohlc.json")
    whole, equal = compared(*(file.read_bytes() for file in files))
    assert (whole, equal) == (409, 409)


def test_the_frames_say_what_they_are() -> None:
    stream = KrakenStream()
    status, ack, refusal, empty, heartbeat, trade, pong = (stream.read_frame(raw) for raw in VENUE.frames())
    assert status == (VenueStatus("online", True),)
    assert ack == (Stamped(1_785_680_326_576_140), Subscribed("USDC/USD"))
    assert refusal[1] == FeedRefused(
        "error", "Currency pair not supported FAKECOIN/USD", "FAKECOIN/USD", 400,
        "See the list of pairs for what Kraken trades; its names here are BTC and DOGE.",
    )  # fmt: skip
    assert (empty, heartbeat) == ((), ())
    (seen,) = trade
    assert isinstance(seen, TradeSeen)
    assert (str(seen.price), str(seen.amount), seen.side, seen.id) == ("0.9997", "2.85085526", -1, "22719451")
    assert pong == (Stamped(1_785_680_348_000_140),)


@pytest.mark.parametrize(("price", "qty"), [("1e-08", "8.42e-06"), ("63000.10000", "0.00000000"), ("63000", "12")])
def test_numbers_are_what_their_text_says(price: str, qty: str) -> None:
    (trade,) = trades_in(row(price=price, qty=qty))
    assert isinstance(trade, TradeSeen) and (trade.price, trade.amount) == (Decimal(price), Decimal(qty))


def test_a_frame_holds_trades_of_several_pairs_and_a_torn_one_costs_only_itself() -> None:
    torn = row(symbol='"SOL/USD"', price='"many"')
    one, two, three = trades_in(row(), torn, row(symbol='"ETH/USD"', trade_id="8"), kind="snapshot")
    assert isinstance(one, TradeSeen) and isinstance(three, TradeSeen) and one.replayed
    assert (one.sub, three.sub) == ("BTC/USD", "ETH/USD")
    assert isinstance(two, Garbage) and two.sub == "SOL/USD"


def test_finer_digits_of_a_time_are_cut_off() -> None:
    (trade,) = trades_in(row(timestamp='"2026-08-02T14:19:07.241261999Z"'))
    assert isinstance(trade, TradeSeen) and trade.ts == 1_785_680_347_241_261


def test_an_id_of_0_is_not_known() -> None:
    assert [type(event) for event in trades_in(row(trade_id="0"))] == [Garbage]


@pytest.mark.parametrize(("word", "trading"), [("maintenance", False), ("post_only", False), ("limit_only", True)])
def test_the_status_says_why_a_market_is_quiet(word: str, trading: bool) -> None:
    (said,) = read({"channel": "status", "type": "update", "data": [{"system": word}]})
    assert said == VenueStatus(word, trading)


def test_too_many_messages_are_a_limit_of_the_connection() -> None:
    (refused,) = read({"method": "subscribe", "success": False, "error": "Exceeded msg rate"})
    assert isinstance(refused, FeedRefused) and (refused.sub, refused.http_status) == (None, 429)
    again = read({"method": "subscribe", "success": False, "error": "Already subscribed", "symbol": "BTC/USD"})
    assert again == (Subscribed("BTC/USD"),)


@pytest.mark.parametrize(
    ("ours", "socket", "rest"),
    [
        (("BTC", "USD"), "BTC/USD", "XBTUSD"),
        (("DOGE", "BTC"), "DOGE/BTC", "XDGXBT"),
        (("ETH", "EUR"), "ETH/EUR", "ETHEUR"),
    ],
)
def test_bitcoin_and_dogecoin_have_other_names_only_in_here(ours: tuple[str, str], socket: str, rest: str) -> None:
    pair = Listed("kraken", *ours)
    assert (PROVIDER.names.sub_of(pair), rest_name(socket)) == (socket, rest)
    assert PROVIDER.names.pair_of(socket) == pair
    assert PROVIDER.names.pair_of("XBT/USD") == Listed("kraken", "BTC", "USD")
    assert f"pair={rest}&" in PROVIDER.history.trades_request(TradesAsked(socket, None)).path


def test_the_list_names_dogecoin_as_we_do_and_leaves_out_what_the_socket_has_not() -> None:
    found = PROVIDER.catalogue.read_pairs(answer(VENUE.pairs))
    assert isinstance(found, PairList)
    assert [pair.symbol for pair in found.pairs] == ["kraken:BTC-USD", "kraken:DOGE-USD"]
    assert found.markets[1].tick == Decimal("1e-7")


def test_candles_are_asked_for_from_one_before_the_first_in_minutes() -> None:
    request = PROVIDER.history.candles_request(CandlesAsked("BTC/USD", 3600, START, START + 3_600_000_000))
    assert query_of(request.path) == {"pair": "XBTUSD", "interval": "60", "since": str(START // 10**6 - 3600)}


def test_pages_overlap_on_purpose_and_begin_just_before_the_known_trade() -> None:
    asked = TradesAsked("BTC/USD", Made(7, START).mark)
    assert f"since={START - 1}000&count=1000" in PROVIDER.history.trades_request(asked).path


def test_a_page_without_last_goes_on_from_its_last_trade() -> None:
    trades = [Made(number, START + number) for number in range(1, 1001)]
    body = json.loads(VENUE.body_of([VENUE.row_of(trade) for trade in trades], trades))
    del body["result"]["last"]
    page = PROVIDER.history.read_trades(TradesAsked("BTC/USD", None), None, answer(json.dumps(body)))
    assert isinstance(page, TradePage) and page.cursor == f"{START + 999}000:1000"


def test_pages_do_not_stall_where_more_trades_share_a_time_than_a_page_holds() -> None:
    trades = [Made(number, START) for number in range(1, 1501)] + [Made(1501, START + 5)]
    asked, cursor, seen = TradesAsked("BTC/USD", None), None, list[int]()
    for _ in range(5):
        path = PROVIDER.history.trades_request(asked, cursor).path
        page = PROVIDER.history.read_trades(asked, cursor, VENUE.answer(trades, path))
        assert isinstance(page, TradePage)
        seen += [int(trade.id) for trade in page.trades]
        if (cursor := page.cursor) is None:
            break
    assert seen == [*range(1, 1001), 1501]  # the hole shows in the ids
    assert cursor is None


def test_an_empty_page_proves_nothing_and_one_with_the_known_trade_proves_the_quiet_after_it() -> None:
    known = Made(7, START)
    asked = TradesAsked("BTC/USD", known.mark)
    empty = PROVIDER.history.read_trades(asked, None, answer(VENUE.body_of([], [])))
    assert isinstance(empty, TradePage) and empty.newest is None
    again = PROVIDER.history.read_trades(asked, None, answer(VENUE.body_of([VENUE.row_of(known)], [known])))
    assert isinstance(again, TradePage)
    assert (again.trades, again.newest) == ((), LastId("BTC/USD", 7, AT - 2_000_000))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("EGeneral:Too many requests", RateLimited),
        ("EAPI:Rate limit exceeded", RateLimited),
        ("EGeneral:Temporary lockout", RateLimited),
        ("EQuery:Unknown asset pair", Refused),
        ("EGeneral:Invalid arguments", Refused),
        ("EService:Unavailable", Unavailable),
        ("EService:Busy", Unavailable),
    ],
)
def test_errors_come_with_http_200(error: str, expected: type) -> None:
    found = PROVIDER.history.read_trades(ALL, None, answer(json.dumps({"error": [error]})))
    assert type(found) is expected and not isinstance(found, TradePage) and found.reason == error
    if isinstance(found, RateLimited):
        assert found.retry_after >= 5


def test_a_warning_beside_data_is_no_error() -> None:
    body = '{"error":["WGeneral:Be gentle"],"result":{"unixtime":1762820224}}'
    assert not isinstance(PROVIDER.catalogue.read_time(Answer(200, {}, body.encode())), Unavailable)
