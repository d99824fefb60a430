from __future__ import annotations

from decimal import Decimal

from streaming.errors import BadRecord
from streaming.history_records import (
    FetchDone,
    FetchFailed,
    HistoryRecord,
    ProviderCandle,
    ProviderSpan,
    decode_history,
)
from streaming.history_records import encode_history as encode

BTC = "coinbase:BTC-USD"
RECORDS: list[HistoryRecord] = [
    ProviderCandle(
        market=BTC, request=7, resolution=60, open_time=60_000_000, open=Decimal("0.00000012"), high=Decimal("1.10"),
        low=Decimal("1e-7"), close=Decimal(1), volume=Decimal("0.10"), quote_volume=Decimal("12345678901234567890.123"),
    ),
    ProviderSpan(market=BTC, request=7, resolution=60, start=0, stop=120_000_000, page=1, pages=2, zeros=(0,)),
    FetchFailed(market=BTC, request=7, resolution=60, start=0, stop=60_000_000, reason="too old", final=True),
    FetchDone(market=BTC, request=7),
]  # fmt: skip


def test_records_of_the_history_come_back_to_the_digit() -> None:
    assert decode_history([encode(record) for record in RECORDS]) == RECORDS
    assert b'"1.10"' in encode(RECORDS[0])


def test_a_bad_record_is_named_and_the_others_stay() -> None:
    first, bad, last = decode_history([encode(RECORDS[0]), b'{"type":"provider_span"}', encode(RECORDS[-1])])
    assert (first, last) == (RECORDS[0], RECORDS[-1])
    assert isinstance(bad, BadRecord)
    assert isinstance(decode_history([b'{"type":"trade"}'])[0], BadRecord)
