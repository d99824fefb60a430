"""How a span ended is stored and counted by a code, never guessed from its text."""

from __future__ import annotations

import pytest
from msgspec import structs

from consumers.metrics import BatchMetrics
from datastore.db.queries import execute
from datastore.db.sql_files import script
from datastore.ingest.live_write import StoreResult
from datastore.models import Coverage, Market
from metering.table import SPANS_ENDED
from streaming.ends import EndCode
from streaming.records import FeedClosed, decode, encode
from tests.support.datastore.records import BTC, NOON, SECOND, closed, opened, store, trade, watermark

pytestmark = pytest.mark.django_db
UNTIL = NOON + 30 * SECOND


@pytest.fixture(autouse=True)
def market(db: None) -> Market:
    return Market.objects.create(exchange="coinbase", base="BTC", quote="USD", symbol=BTC)


def code_after(*records: object) -> tuple[str | None, tuple[str, ...]]:
    result: StoreResult = store(opened(1, NOON), watermark(2, UNTIL), *records)  # type: ignore[arg-type]
    return Coverage.objects.get().code, result.changes[0].ended


@pytest.mark.parametrize(
    ("last", "code"),
    [
        ([structs.replace(closed(3, None), code="numbers")], EndCode.NUMBERS),
        ([closed(3, None, "as before there were codes")], EndCode.OTHER),
        ([structs.replace(closed(3, None, certain=NOON + 9 * SECOND), code="numbers")], EndCode.NUMBERS),
        ([watermark(5, UNTIL + SECOND)], EndCode.STREAM),
        ([opened(3, NOON + 60 * SECOND)], EndCode.RESUBSCRIBED),
        ([trade(3, UNTIL + SECOND, price="1e30")], EndCode.REFUSED),
        ([trade(3, UNTIL, id="0"), trade(4, UNTIL, price="7", id="0")], EndCode.CONFLICT),
    ],
)
def test_the_kind_of_an_end_is_stored_and_named(last: list[object], code: EndCode) -> None:
    assert code_after(*last) == (code, (code,))


def test_a_span_that_goes_on_has_no_code() -> None:
    assert code_after() == (None, ())


def test_ends_are_counted_by_code_and_one_that_is_not_known_as_other() -> None:
    def counted() -> list[float]:
        return [SPANS_ENDED.labels(code)._value.get() for code in (EndCode.NUMBERS, EndCode.OTHER)]

    before = counted()
    metrics = BatchMetrics("tick-data")
    result = store(opened(1, NOON), watermark(2, UNTIL), structs.replace(closed(3, None), code="numbers"))
    metrics.stored(3, result.changes, None)
    again = store(
        opened(1, NOON + 60 * SECOND, feed="tick-data/b"),
        watermark(2, NOON + 70 * SECOND, NOON + 60 * SECOND, feed="tick-data/b"),
        structs.replace(closed(3, None, feed="tick-data/b"), code="of a later version"),
    )
    metrics.stored(3, again.changes, None)
    assert [after - was for after, was in zip(counted(), before, strict=True)] == [1, 1]


def test_a_record_from_before_there_were_codes_is_read_as_of_no_special_kind() -> None:
    value = encode(closed(3, None)).replace(b'"code":"other",', b"")
    record = decode(value)
    assert b"code" not in value and isinstance(record, FeedClosed) and record.code == EndCode.OTHER


def test_the_migration_of_stored_ends_can_be_repeated() -> None:
    code_after(structs.replace(closed(3, None), code="numbers"))
    for before, after in (("numbers", "numbers"), (None, "other"), ("other", "other")):
        Coverage.objects.update(code=before)
        execute(script("migrations/0009_end_code"))
        assert Coverage.objects.get().code == after
