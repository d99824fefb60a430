from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.providers.cryptocompare.stream import Other, read_frame, subscribe_message, subscription
from ingestion.providers.events import FeedRefused, Garbage, Stamped, Subscribed, TradeSeen

FULL: dict[str, Any] = {
    "TYPE": "0",
    "M": "Coinbase",
    "FSYM": "BTC",
    "TSYM": "USD",
    "F": "1",
    "ID": "852793745",
    "TS": 1753190418,
    "Q": 0.34637342,
    "P": 119283.1,
    "TOTAL": 41316.495295202,
    "RTS": 1753190418,
    "CCSEQ": 852777369,
    "TSNS": 654000000,
    "RTSNS": 708000000,
}


def read(**changes: Any) -> Any:
    return read_frame(json.dumps({key: value for key, value in (FULL | changes).items() if value != "absent"}).encode())


def test_a_trade_with_all_fields_is_read_to_the_digit() -> None:
    assert read() == TradeSeen(
        sub="0~Coinbase~BTC~USD",
        ts=1753190418_654000,
        seq=852777369,
        number=852777369,
        id="852793745",
        price=Decimal("119283.1"),
        amount=Decimal("0.34637342"),
        side=-1,
        stamp=1753190418_708000,
    )


def test_prices_keep_every_digit_and_never_pass_through_binary_fractions() -> None:
    raw = b'{"TYPE":"0","M":"X","FSYM":"A","TSYM":"B","TS":5,"P":0.00027499999999999997,"Q":98433.70000}'
    seen = read_frame(raw)
    assert isinstance(seen, TradeSeen)
    assert (str(seen.price), str(seen.amount)) == ("0.00027499999999999997", "98433.70000")


def test_scientific_notation_and_numeric_strings_are_understood() -> None:
    seen = read(P="1.2e-7", TS="1753190418", F=10, CCSEQ="7")
    assert (seen.price, seen.ts, seen.side, seen.seq) == (Decimal("0.00000012"), 1753190418_654000, 1, 7)


@pytest.mark.parametrize(
    ("changes", "trade_id", "seq"),
    [
        ({}, "852793745", 852777369),
        ({"CCSEQ": "absent"}, "852793745", 852793745),
        ({"CCSEQ": "absent", "ID": "t-5"}, "t-5", None),
        ({"ID": "1753190418123"}, "ccseq:852777369", 852777369),
        ({"ID": "1753190418"}, "ccseq:852777369", 852777369),
        ({"ID": "absent"}, "ccseq:852777369", 852777369),
    ],
)
def test_a_made_up_id_gives_way_to_the_providers_number(changes: dict[str, Any], trade_id: str, seq: int) -> None:
    seen = read(**changes)
    assert (seen.id, seen.seq) == (trade_id, seq)


def test_a_trade_without_any_id_is_named_by_its_content_whatever_the_zeros() -> None:
    first = read(ID="absent", CCSEQ="absent", P="1.10")
    second = read(ID="absent", CCSEQ="absent", P="1.1")
    other = read(ID="absent", CCSEQ="absent", P="1.2")
    assert first.id == second.id
    assert first.id.startswith("sha:")
    assert other.id != first.id


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"P": 0}, "price"),
        ({"P": -1}, "price"),
        ({"Q": -0.5}, "amount"),
        ({"P": "absent"}, "price"),
        ({"TS": "absent"}, "time"),
        ({"TS": -5}, "time"),
        ({"P": "1e999999999"}, "price"),
        ({"P": "many"}, "P"),
        ({"ID": "a\u0000b"}, "control"),
    ],
)
def test_a_trade_that_cannot_be_used_says_why_and_whose_it_was(changes: dict[str, Any], word: str) -> None:
    found = read(**changes)
    assert isinstance(found, Garbage)
    assert word in found.reason
    assert found.sub == "0~Coinbase~BTC~USD"


def test_control_frames_become_what_they_say() -> None:
    def frame(**fields: Any) -> Any:
        return read_frame(json.dumps(fields).encode())

    assert frame(TYPE="20", MESSAGE="STREAMERWELCOME", SERVER_TIME_MS=1753184197855) == Stamped(1753184197855_000)
    assert frame(TYPE="999", MESSAGE="HEARTBEAT", TIMEMS=1582817678330) == Stamped(1582817678330_000)
    assert frame(TYPE=16, MESSAGE="SUBSCRIBECOMPLETE", SUB="0~Coinbase~ETH~BTC") == Subscribed("0~Coinbase~ETH~BTC")
    assert isinstance(frame(TYPE="3", MESSAGE="LOADCOMPLETE"), Other)
    assert frame(TYPE="401", MESSAGE="UNAUTHORIZED", INFO="no").code == "401"
    refused = frame(TYPE="500", MESSAGE="INVALID_SUB", PARAMETER="0~No~A~B")
    assert isinstance(refused, FeedRefused)
    assert refused.sub == "0~No~A~B"
    assert isinstance(frame(TYPE="500", MESSAGE="SUBSCRIPTION_ALREADY_ACTIVE", PARAMETER="0~No~A~B"), Other)


@given(st.binary(max_size=200))
def test_no_bytes_whatever_raise(raw: bytes) -> None:
    assert read_frame(raw) is not None


@given(st.dictionaries(st.sampled_from(sorted(FULL)), st.none() | st.text(max_size=9) | st.integers() | st.floats()))
def test_no_trade_whatever_its_fields_raises(fields: dict[str, Any]) -> None:
    assert read_frame(json.dumps(FULL | fields).encode()) is not None


def test_a_channel_is_named_as_the_provider_names_it() -> None:
    subs = [subscription("Coinbase", "BTC", "USD")]
    assert json.loads(subscribe_message(subs)) == {"action": "SubAdd", "subs": ["0~Coinbase~BTC~USD"]}
