from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec import structs

from datastore.models import Coverage, Market
from datastore.reference.markets import ensure_markets
from streaming.records import LiveRecord, Trade
from tests.support.datastore.records import BTC, NOON, SECOND, closed, moment, opened, store, trade, watermark

pytestmark = pytest.mark.django_db

NEXT = "tick-data/two"
CONNECTED, START = NOON + 100 * SECOND, NOON + 102 * SECOND


@pytest.fixture(autouse=True)
def btc() -> Market:
    return ensure_markets([BTC])[0]


def at(seconds: int, seq: int, *, late: int = 0) -> Trade:
    """Return the market's trade number seq, received at once or later."""
    ts = NOON + seconds * SECOND
    return trade(seq + 1, ts, seq=seq, id=f"ccseq:{seq}", received_at=ts + late * SECOND + 1)


def again(seen: list[Trade], first_n: int = 1) -> list[LiveRecord]:
    """Return the trades as the next connection replays them, with the opening behind."""
    sent = [
        trade(n, one.ts, seq=one.seq, id=one.id, received_at=CONNECTED + SECOND, feed=NEXT)
        for n, one in enumerate(seen, first_n)
    ]
    return [*sent, opened(first_n + len(sent), START, connected=CONNECTED, replayed=sent, feed=NEXT)]


def proof(n: int, until: int = START + 9) -> LiveRecord:
    return watermark(n, until, START, feed=NEXT)


def spans() -> list[tuple[int, int]]:
    """Return the proven spans in microseconds from noon."""
    rows = Coverage.objects.order_by("start")
    return [((row.start - moment(NOON)).seconds, (row.stop - moment(NOON)).seconds) for row in rows]


def first_connection(*trades: Trade) -> None:
    sent = [structs.replace(one, n=n) for n, one in enumerate(trades, 2)]
    n = len(sent) + 2
    store(opened(1, NOON), *sent, watermark(n, NOON + 60 * SECOND), closed(n + 1, None))


def test_a_replayed_trade_that_an_earlier_connection_brought_bridges_from_its_receipt() -> None:
    # Not every market is numbered.
    first, second, third, fourth = (
        structs.replace(at(*place), seq=None) for place in ((20, 1), (63, 2), (70, 3), (90, 4))
    )
    first_connection(first, second, third)
    store(*again([second, third, fourth]))
    assert spans() == [(0, 60)]
    store(proof(5))
    assert spans() == [(0, 60), (63, 102), (102, 102)]
    bridge = Coverage.objects.get(start=moment(NOON + 63 * SECOND + 1))
    assert bridge.stop == moment(START) and bridge.feed == NEXT


def test_nothing_is_bridged_while_the_new_span_has_not_begun_to_hold() -> None:
    old = [at(20, 1)]
    first_connection(*old)
    store(*again(old), proof(3, START))
    store(closed(4, START - 5, start=START, feed=NEXT))
    assert spans() == [(0, 60)]


def test_an_opening_and_its_proof_in_one_batch_bridge_too() -> None:
    old = [at(59, 1)]
    first_connection(*old)
    store(*again(old), proof(3))
    assert spans() == [(0, 60), (59, 102), (102, 102)]


def test_a_replay_of_which_records_were_lost_bridges_nothing() -> None:
    old = [at(20, 1)]
    first_connection(*old)
    store(*again(old, first_n=2), proof(4))
    assert spans() == [(0, 60), (102, 102)]


def test_a_replay_that_only_this_connection_has_seen_bridges_nothing() -> None:
    first_connection(at(20, 1))
    store(*again([at(90, 7), at(95, 8)]), proof(4))
    assert spans() == [(0, 60), (102, 102)]


def test_numbers_without_a_hole_bridge_from_the_end_of_the_last_span() -> None:
    first_connection(at(20, 1), at(59, 2), at(65, 3))
    store(*again([at(80, 4), at(90, 5)]), proof(4))
    assert spans() == [(0, 60), (60, 102), (102, 102)]


def test_a_number_that_is_missing_behind_the_last_span_bridges_nothing() -> None:
    first_connection(at(20, 1), at(59, 2), at(65, 4))
    store(*again([at(80, 5), at(90, 6)]), proof(4))
    assert spans() == [(0, 60), (102, 102)]


def test_a_number_that_is_missing_in_the_replay_bridges_only_what_comes_behind_it() -> None:
    old = [at(20, 1), at(59, 2), at(65, 3), at(70, 5)]
    first_connection(*old)
    store(*again([old[2], old[3], at(90, 6)]), proof(5))
    assert spans() == [(0, 60), (70, 102), (102, 102)]


def test_a_number_that_nobody_ever_saw_forbids_the_bridge() -> None:
    old = [at(20, 1), at(59, 2), at(65, 3)]
    first_connection(*old)
    store(*again([old[2], at(90, 5)]), proof(4))
    assert spans() == [(0, 60), (102, 102)]


def test_a_numbering_that_began_anew_bridges_nothing() -> None:
    first_connection(at(20, 1_000_001), at(59, 1_000_002), at(65, 1_000_003))
    store(*again([at(80, 5), at(90, 6)]), proof(4))
    assert spans() == [(0, 60), (102, 102)]


def test_a_replayed_trade_that_cannot_be_stored_forbids_the_bridge() -> None:
    old = [at(20, 1)]
    first_connection(*old)
    first, second, opening = again([*old, at(90, 2)])
    store(first, structs.replace(second, price=Decimal("1e-30")), opening, proof(4))
    assert spans() == [(0, 60), (102, 102)]


def test_a_bridge_survives_a_restart_between_opening_and_proof() -> None:
    old = [at(20, 1)]
    first_connection(*old)
    records = again(old)
    store(*records)
    store(*records)
    store(*records, proof(3))
    assert spans() == [(0, 60), (20, 102), (102, 102)]
