from __future__ import annotations

from decimal import Decimal
from typing import Any

from consumers.metrics import Receipts
from consumers.record_batch import read_batch
from consumers.topic_handlers import receipts_of
from datastore.ingest.live_batch import split_batch
from streaming.broker import Record
from streaming.records import Trade, Watermark, decode_all, encode

MARKET = "coinbase:BTC-USD"
NOON = 1_800_000_000_000_000


def trade(**changes: Any) -> Trade:
    given: dict[str, Any] = {
        "market": MARKET,
        "feed": "tick-data/f",
        "n": 1,
        "ts": 1_800_000_000_000_000,
        "id": "1",
        "price": Decimal("1.10"),
        "amount": Decimal(2),
        "received_at": 1_800_000_000_100_000,
    }
    return Trade(**given | changes)


def record(value: bytes, position: str = "1-0", key: str = MARKET) -> Record:
    return Record("tick-data", key, value, position)


def test_readable_records_keep_their_order_and_their_origin() -> None:
    mark = Watermark(market=MARKET, feed="tick-data/f", n=2, start=1, until=2, seen=3)
    records = [record(encode(trade())), record(b"nonsense", "2-0"), record(encode(mark), "3-0")]
    batch = read_batch(records, decode_all, list)
    assert batch.ready == [trade(), mark]
    assert [origin.position for origin in batch.origins] == ["1-0", "3-0"]
    assert [(bad.record.position, bool(bad.refusal.detail)) for bad in batch.unreadable] == [("2-0", True)]


def test_a_record_under_another_markets_key_is_unreadable() -> None:
    assert len(read_batch([record(encode(trade()), key="kraken:BTC-EUR")], decode_all, list).unreadable) == 1


def test_the_receipts_of_a_batch_are_those_of_each_market() -> None:
    one = [trade(received_at=NOON + 2), trade(n=2, received_at=NOON + 4)]
    other = trade(market="kraken:BTC-EUR", received_at=NOON + 1)
    found = receipts_of(split_batch([*one, other]))
    assert found == Receipts(NOON + 1, {MARKET: NOON + 3, "kraken:BTC-EUR": NOON + 1})
    assert receipts_of(split_batch([])) is None
    assert Receipts.joined([found, Receipts(NOON, {"a:B-C": NOON})]) == (NOON, {**found.mean, "a:B-C": NOON})
    assert Receipts.joined([]) is None
