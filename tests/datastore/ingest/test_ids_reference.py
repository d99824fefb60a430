"""What ids prove, against a slow and obvious model: whatever comes, in any order, twice or never, true or not."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from datastore.ingest.live_write import digest
from datastore.models import Market, Tick
from streaming.records import LastTrade, LiveRecord, Trade
from tests.support.datastore.counted import SLACK, Span, dealt, model_spans, proven_by_ids, said, stored_ranges
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.records import NOON, SECOND, store
from tests.support.examples import examples, rolled_back

numbered = count(1)
HOUR = 3600 * SECOND


@dataclass(frozen=True)
class Delivery:
    """What a venue traded, and what of it came, in which batches."""

    traded: list[Trade]  # all, in the order of their ids
    batches: list[list[LiveRecord]]


@st.composite
def venues(draw: Any) -> list[Trade]:
    """Return a venue's trades: consecutive ids, single and together, whose times may differ in order by the slack."""
    trades: list[Trade] = []
    ts, first = NOON, draw(st.integers(1, 3))
    for _ in range(draw(st.integers(1, 14))):
        ts += draw(st.sampled_from([0, 0, 1, SLACK // 2, SLACK, SECOND, 7 * SECOND]))
        last = first + draw(st.sampled_from([0, 0, 0, 1, 4]))
        late = draw(st.sampled_from([0, 0, 0, SLACK // 2]))
        trades.append(dealt(first, ts + late, str(draw(st.integers(1, 99))), last=last))
        first = last + 1
    return trades


@st.composite
def deliveries(draw: Any, lies: bool) -> Delivery:
    """Return deliveries by several feeds: in any order, with repeats and losses, and with what the venue said."""
    traded = draw(venues())
    records: list[LiveRecord] = []
    for one in traded:
        for feed in draw(st.lists(st.sampled_from(["a", "b", "c"]), max_size=3)):
            other = structs.replace(one, feed=f"tick-data/{feed}", ts=one.ts + draw(st.sampled_from([0, 0, 1])))
            # The second precision comes from a second feed only: of one trade the first stored time counts.
            records.append(other if records and other.ts == one.ts else structs.replace(other, ts=one.ts))
    for _ in range(draw(st.integers(0, 5))):
        at = NOON + draw(st.integers(0, 60)) * SECOND // 2
        newest = max((one.last or 0 for one in traded if one.ts < at), default=0)
        if lies:
            newest = max(newest + draw(st.sampled_from([0, 0, -1, -3, 1, 5, -99])), 0)
        records.append(said(newest, at, feed="tick-data/a"))
    records = draw(st.permutations(records))
    batches: list[list[LiveRecord]] = []
    while records:
        size = draw(st.integers(1, len(records)))
        batches.append(records[:size])
        records = records[size:]
    return Delivery(traded, batches)


def new_market(provider_time: ProviderTime) -> Market:
    provider_time.set(NOON + HOUR)
    symbol = f"coinbase:X{next(numbered)}-USD"
    return Market.objects.create(
        exchange="coinbase", base="X", quote="USD", symbol=symbol, provider="coinbase", followed=True
    )


def of_market(market: Market, batch: list[LiveRecord], n: int) -> list[LiveRecord]:
    """Return the records as this market's, numbered."""
    return [structs.replace(one, market=market.symbol, n=n + place) for place, one in enumerate(batch, 1)]


def runs(trades: list[Trade]) -> list[Span]:
    ids = sorted({each for one in trades for each in range(one.first or 0, (one.last or 0) + 1)})
    starts = [each for each in ids if each - 1 not in ids]
    stops = [each for each in ids if each + 1 not in ids]
    return list(zip(starts, stops, strict=True))


@pytest.mark.django_db
@examples(60)
@given(delivery=deliveries(lies=True), again=st.randoms(use_true_random=False))
@rolled_back
def test_what_is_proven_is_what_the_stored_ids_prove_whatever_comes(
    provider_time: ProviderTime, delivery: Delivery, again: Any
) -> None:
    market = new_market(provider_time)
    trades: list[Trade] = []
    statements: list[LastTrade] = []
    for n, batch in enumerate(delivery.batches):
        for _ in range(again.choice([1, 1, 2])):  # a batch may be read again after a restart
            result = store(*of_market(market, batch, n * 1000))
            assert not result.refused
        trades += [one for one in batch if isinstance(one, Trade)]
        statements += [one for one in batch if isinstance(one, LastTrade)]
        assert stored_ranges(market) == runs(trades)
        assert proven_by_ids(market) == model_spans(trades, statements)
    assert Tick.objects.filter(market=market).count() == len({one.id for one in trades})


@pytest.mark.django_db
@examples(50)
@given(delivery=deliveries(lies=False))
@rolled_back
def test_nothing_that_a_true_venue_traded_is_missing_where_anything_is_proven(
    provider_time: ProviderTime, delivery: Delivery
) -> None:
    market = new_market(provider_time)
    came: set[str] = set()
    for n, batch in enumerate(delivery.batches):
        store(*of_market(market, batch, n * 1000))
        came |= {one.id for one in batch if isinstance(one, Trade)}
        for start, stop in proven_by_ids(market):
            inside = [one for one in delivery.traded if start <= one.ts - NOON < stop]
            assert all(one.id in came for one in inside)


@pytest.mark.django_db
@examples(30)
@given(delivery=deliveries(lies=True), order=st.randoms(use_true_random=False))
@rolled_back
def test_the_order_of_arrival_makes_no_difference(provider_time: ProviderTime, delivery: Delivery, order: Any) -> None:
    found = []
    records = [one for batch in delivery.batches for one in batch]
    for batches in (delivery.batches, [order.sample(records, len(records))], [[one] for one in records]):
        market = new_market(provider_time)
        for n, batch in enumerate(batches):
            store(*of_market(market, batch, n * 1000))
        found.append((stored_ranges(market), proven_by_ids(market), digest(market)))
    assert found[0] == found[1] == found[2]


@st.composite
def claims(draw: Any) -> list[Trade]:
    """Return trades with ids from 1, some missing, and others under the same ids, at other times."""
    records: list[Trade] = []
    for each in range(1, draw(st.integers(1, 9)) + 1):
        one = dealt(each, NOON + each * SECOND)
        kind = draw(st.sampled_from(["stored", "stored", "claimed twice", "missing"]))
        if kind != "missing":
            records.append(one)
        if kind == "claimed twice":
            away = draw(st.sampled_from([0, 0, 3 * SECOND, -2 * SECOND]))
            records.append(structs.replace(one, feed="tick-data/two", ts=one.ts + away, price=one.price + 1))
    return list(draw(st.permutations(records)))


@pytest.mark.django_db
@examples(50)
@given(records=claims())
@rolled_back
def test_ids_that_two_trades_claim_prove_nothing_in_any_order(
    provider_time: ProviderTime, records: list[Trade]
) -> None:
    market = new_market(provider_time)
    doubted: dict[int, Span] = {}
    seen: dict[str, Trade] = {}
    for n, one in enumerate(records):
        store(*of_market(market, [one], n))
        before = seen.setdefault(one.id, one)
        if before is not one:
            doubted[int(one.id)] = (min(before.ts, one.ts), max(before.ts, one.ts))
        assert proven_by_ids(market) == model_spans(seen.values(), (), doubted)
    store(*of_market(market, list(records), 99))
    assert proven_by_ids(market) == model_spans(seen.values(), (), doubted)
