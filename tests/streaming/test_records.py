from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.bounds import MAX_BIGINT
from streaming.errors import BadRecord
from streaming.records import (
    MAX_IDS,
    FeedClosed,
    FeedOpened,
    LastTrade,
    LiveRecord,
    Replayed,
    Trade,
    Watermark,
    decode,
    decode_all,
    encode,
)

TRADE = Trade(
    market="coinbase:BTC-USD",
    feed="tick-data/5f0c",
    n=7,
    ts=1_700_000_000_123_456,
    seq=42,
    id="99",
    price=Decimal("43210.12"),
    amount=Decimal("0.01234567"),
    side=1,
    received_at=1_700_000_000_200_000,
)

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=60)
times = st.integers(0, 253_402_300_799_999_999)
counts = st.integers(1, MAX_BIGINT)
sequences = st.none() | st.integers(0, MAX_BIGINT)
sizes = st.decimals(Decimal("1e-40"), Decimal("1e40"), allow_nan=False, allow_infinity=False)
common: dict[str, Any] = {"market": texts, "feed": texts, "n": counts}
records: st.SearchStrategy[LiveRecord] = st.one_of(
    st.builds(
        Trade,
        **common,
        ts=times,
        seq=sequences,
        id=texts,
        price=sizes,
        amount=sizes | st.just(Decimal(0)),
        side=st.integers(-1, 1),
        received_at=times,
    ),
    st.builds(
        lambda ids, **more: Trade(id="7", price=Decimal(1), amount=Decimal(2), first=ids[0], last=ids[1], **more),
        st.builds(
            lambda first, more: (first, first + more), st.integers(0, MAX_BIGINT - MAX_IDS), st.integers(0, MAX_IDS - 1)
        ),
        **common,
        ts=times,
        received_at=times,
    ),
    st.builds(LastTrade, **common, last_id=st.integers(0, MAX_BIGINT), at=times),
    st.builds(
        FeedOpened,
        **common,
        connected=times,
        start=times,
        replayed=st.lists(st.builds(Replayed, ts=times, id=texts, seq=sequences), max_size=20).map(tuple),
    ),
    st.builds(Watermark, **common, start=times, until=times),
    st.builds(FeedClosed, **common, start=times, stop=st.none() | times, reason=texts),
)


def with_price(text: bytes) -> bytes:
    return encode(TRADE).replace(b'"43210.12"', text)


@given(st.lists(records, max_size=20))
def test_every_record_comes_back_as_it_went(given_records: list[LiveRecord]) -> None:
    values = [encode(record) for record in given_records]
    assert decode_all(values) == [decode(value) for value in values] == given_records


@pytest.mark.parametrize(
    "text",
    [
        "1.2e-7",
        "0.00000012",
        "1234567890123456789012345678.901234",
        "0.1234567890123456789012345678901234",
        "5E+3",
        "1.10",
    ],
)
@pytest.mark.parametrize("quoted", [True, False], ids=["text", "number"])
def test_a_decimal_is_exactly_the_one_in_the_json(text: str, quoted: bool) -> None:
    record = decode(with_price(b'"%s"' % text.encode() if quoted else text.encode()))
    assert isinstance(record, Trade)
    assert record.price.as_tuple() == Decimal(text).as_tuple()
    assert decode(encode(record)) == record


@pytest.mark.parametrize("price", [b'"NaN"', b'"sNaN"', b'"Infinity"', b'"-1"', b"0", b'"1e999999999"', b"1e-999999"])
def test_a_price_that_cannot_be_is_refused_alone(price: bytes) -> None:
    sound = encode(TRADE)
    before, bad, after = decode_all([sound, with_price(price), sound])
    assert before == after == TRADE
    assert isinstance(bad, BadRecord)
    assert "price" in str(bad)


def test_an_amount_of_nothing_is_a_trade_and_a_negative_one_is_none() -> None:
    nothing = msgspec.structs.replace(TRADE, amount=Decimal(0))
    negative = msgspec.structs.replace(TRADE, amount=Decimal("-0.1"))
    first, second = decode_all([encode(nothing), encode(negative)])
    assert first == nothing
    assert isinstance(second, BadRecord)


@pytest.mark.parametrize(("first", "last"), [(5, None), (None, 5), (6, 5), (1, MAX_IDS + 1), (MAX_BIGINT, MAX_BIGINT)])
def test_a_range_of_ids_without_an_end_or_in_disorder_is_refused_alone(first: int | None, last: int | None) -> None:
    odd = msgspec.structs.replace(TRADE, first=first, last=last)
    before, bad, after = decode_all([encode(TRADE), encode(odd), encode(TRADE)])
    assert before == after == TRADE
    assert isinstance(bad, BadRecord)
    assert "`first` to `last`" in str(bad)


def test_trades_from_before_they_carried_ids_are_read_as_trades_that_are_not_counted() -> None:
    value = encode(TRADE).replace(b',"first":null,"last":null', b"")
    assert b"first" not in value
    assert decode(value) == TRADE


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b'"type":"trade"', b'"type":"rumour"', "rumour"),
        (b'"v":1', b'"v":2', r"\$.v"),
        (b'"n":7', b'"n":0', r"\$.n"),
        (b'"n":7', b'"n":9223372036854775808', r"\$.n"),
        (b'"ts":1700000000123456', b'"ts":253402300800000000', r"\$.ts"),
        (b'"ts":1700000000123456', b'"ts":"today"', r"\$.ts"),
        (b'"seq":42', b'"seq":9223372036854775808', r"\$.seq"),
        (b'"id":"99"', b'"id":""', r"\$.id"),
        (b'"id":"99"', b'"id":"9\\u00009"', "NUL"),
        (b'"id":"99",', b"", "id"),
        (b'"side":1', b'"side":2', r"\$.side"),
        (b'"43210.12"', b'"4' + b"0" * 5000 + b'e-5000"', "bytes"),
        (b'"id"', b'"x":' + b"[" * 100_000, "recursion"),
        (b'"99"', b'"\xff"', "utf-8"),
        (b"}", b"", "truncated"),
        (b"}", b"},{}", "trailing"),
    ],
)
def test_a_bad_record_is_named_with_its_reason_and_its_neighbours_stay(old: bytes, new: bytes, reason: str) -> None:
    value = encode(TRADE)
    assert old in value
    bad = value.replace(old, new)
    with pytest.raises(BadRecord, match=reason):
        decode(bad)
    first, second, third = decode_all([value, bad, value])
    assert (first, third) == (TRADE, TRADE)
    assert isinstance(second, BadRecord)


def test_an_escape_that_only_looks_like_nul_is_no_reason_to_refuse() -> None:
    record = msgspec.structs.replace(TRADE, id="a\\u0000b")
    assert decode_all([encode(record)]) == [record]


def test_an_unknown_field_of_a_newer_writer_is_passed_over() -> None:
    assert decode(encode(TRADE)[:-1] + b',"colour":["red"]}') == TRADE


@given(st.lists(records, min_size=1, max_size=6), st.data())
def test_broken_values_never_run_into_their_neighbours(given_records: list[LiveRecord], data: st.DataObject) -> None:
    whole = b",".join(encode(record) for record in given_records)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    values = [whole[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    for value, found in zip(values, decode_all(values), strict=True):
        try:
            expected: LiveRecord | None = decode(value)
        except BadRecord:
            expected = None
        assert (found == expected) if expected else isinstance(found, BadRecord)


def test_halves_of_a_record_stay_two_bad_ones() -> None:
    value = encode(TRADE)
    middle = value.index(b',"n"')
    found = decode_all([value[:middle], value[middle + 1 :], value + b"," + value, value])
    assert [isinstance(record, BadRecord) for record in found] == [True, True, True, False]


@given(st.lists(st.binary(max_size=300) | records.map(encode), max_size=5))
def test_any_bytes_at_all_are_a_record_or_a_reason(values: list[bytes]) -> None:
    found = decode_all(values)
    assert len(found) == len(values)
    assert all(isinstance(record, LiveRecord | BadRecord) for record in found)
