from __future__ import annotations

import random
from urllib.parse import quote, urlencode

import pytest
from django.test import Client

from datastore.api.responses.json_response import pack
from datastore.api.responses.trade_files import COLUMNS
from datastore.models import Market
from tests.support.api.rows import BEGAN, SYMBOL, Feed, at, body_of
from tests.support.datastore.records import store

ADDRESS = f"/api/v1/trades?market={SYMBOL}"
START = BEGAN.isoformat().replace("+00:00", "Z")


def ids(body: dict[str, list[list[object]]]) -> list[object]:
    return [row[COLUMNS.index("trade_id")] for row in body["trades"]]


@pytest.fixture
def tied(market: Market) -> list[str]:
    """Forty trades at five points in time, half of them without a number; their ids in the order of trades."""
    keys = [
        (second, seq, f"id-{n:02}") for n, (second, seq) in enumerate((n % 5, n if n % 2 else None) for n in range(40))
    ]
    feed = Feed()
    shuffled = random.Random(3).sample(keys, len(keys))
    store(feed.opened(), *[feed.trade(second, "100", id=name, seq=seq) for second, seq, name in shuffled])
    return [name for _, _, name in sorted(keys, key=lambda key: (key[0], key[1] is None, key[1] or 0, key[2]))]


def test_a_trade_is_given_back_to_the_digit_and_microsecond(client: Client, market: Market) -> None:
    feed = Feed()
    store(feed.opened(), feed.trade(1.000_001, "50000.12345678901234567890", "0.00000001", id="x", seq=7, side=-1))
    body = body_of(client, ADDRESS)
    row = dict(zip(body["columns"], body["trades"][0], strict=True))
    assert row["time_us"] == at(1.000_001)
    assert row["time"] == at(1.000_001) // 1000
    assert (row["price"], row["amount"]) == ("50000.1234567890123456789", "0.00000001")
    assert (row["trade_id"], row["seq"], row["side"]) == ("x", 7, "sell")
    assert (body["market"], body["provider"], body["simulated"]) == (SYMBOL, "simulator/test", True)


@pytest.mark.parametrize("limit", [1, 3, 7, 39, 40, 41])
def test_pages_hold_every_trade_once_and_in_order(client: Client, tied: list[str], limit: int) -> None:
    address: str | None = f"{ADDRESS}&from={START}&limit={limit}"
    seen: list[object] = []
    while address:
        body = body_of(client, address)
        assert len(body["trades"]) <= limit
        seen += ids(body)
        address = body["next"]
    assert seen == tied


def test_the_cursor_of_the_last_page_finds_what_comes_later(client: Client, tied: list[str]) -> None:
    behind = body_of(client, f"{ADDRESS}&from={START}")["cursor"]
    assert body_of(client, f"{ADDRESS}&cursor={behind}")["trades"] == []
    feed = Feed(feed="tick-data/later")
    store(feed.trade(30, "101", id="later"))
    assert ids(body_of(client, f"{ADDRESS}&cursor={behind}")) == ["later"]


def test_without_from_the_newest_trades_come_in_their_order(client: Client, tied: list[str]) -> None:
    body = body_of(client, f"{ADDRESS}&limit=4")
    assert ids(body) == tied[-4:]
    assert body["next"] is None


def test_the_range_is_half_open_to_the_microsecond(client: Client, market: Market) -> None:
    feed = Feed()
    store(feed.opened(), *[feed.trade(second, "1", id=str(second)) for second in (1.0, 1.000_001, 2.0, 2.000_001)])
    stop = START.replace("00Z", "02.000001Z")
    assert ids(body_of(client, f"{ADDRESS}&from={START.replace('00Z', '01.000001Z')}&to={stop}")) == ["1.000001", "2.0"]
    first = body_of(client, f"{ADDRESS}&from={START}&to={stop}&limit=2")
    assert ids(body_of(client, first["next"])) == ["2.0"]


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        pack(SYMBOL, 1, None),
        pack(SYMBOL, -1, None, "a"),
        pack(SYMBOL, 10**18, None, "a"),
        pack(SYMBOL, 1, 10**19, "a"),
        pack(SYMBOL, 1, None, "a\x00b"),
        pack("kraken:BTC-USD", 1, None, "a"),
    ],
)
def test_a_cursor_that_is_none_of_ours_is_refused(client: Client, market: Market, cursor: str) -> None:
    assert "cursor" in body_of(client, f"{ADDRESS}&cursor={cursor}", 400)["errors"]


@pytest.mark.parametrize("name", ['a"b', "a,b", "ä", "NULL", "a b", "\\", "x" * 200])
def test_any_id_survives_in_a_cursor(client: Client, market: Market, name: str) -> None:
    feed = Feed()
    store(feed.opened(), feed.trade(1, "1", id=name), feed.trade(2, "1", id="next"))
    first = body_of(client, f"{ADDRESS}&from={quote(START)}&limit=1")
    assert ids(first) == [name]
    assert ids(body_of(client, f"/api/v1/trades?{urlencode({'market': SYMBOL, 'cursor': first['cursor']})}")) == [
        "next"
    ]
