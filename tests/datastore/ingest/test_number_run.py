"""What the provider's numbers prove of one connection, against a slow and obvious model: pair by pair."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.ingest.feed_sequence import FeedSequence, RefusedTrade, apply
from streaming.records import FeedClosed, LiveRecord, Trade
from tests.support.datastore.records import NOON, SECOND, closed, opened, trade, watermark
from tests.support.datastore.reference import holds

LATE = 6 * SECOND
Span = tuple[int, int]
Record = LiveRecord | RefusedTrade


def numbered(n: int, number: int, at: float | None = None, ts: float | None = None, id: str | None = None) -> Trade:
    """Return a trade that came at this second after noon, a second for each number unless given."""
    received = number if at is None else at
    traded = received if ts is None else ts
    times = NOON + int(traded * SECOND), NOON + int(received * SECOND)
    return trade(n, times[0], id=id or f"id{number}", number=number, received_at=times[1])


def proven(*records: Record, batches: int = 1) -> list[Span]:
    """Return what the numbers prove, in microseconds, of records that come in so many batches."""
    found: dict[int, int] = {}
    position, size = FeedSequence(), -(-len(records) // batches)
    for low in range(0, len(records), size):
        applied = apply(position, records[low : low + size], late=LATE)
        position = applied.position
        if applied.taken_back is not None:
            certain = applied.taken_back.certain
            found = {start: min(stop, certain) for start, stop in found.items() if start < certain}
        for start, stop in applied.numbered:
            found[start] = max(stop, found.get(start, 0))
    return sorted(found.items())


def in_turn(records: Iterable[Record]) -> list[Record]:
    """Return the records numbered in this order."""
    given = [{name: getattr(one, name) for name in one.__struct_fields__} for one in records]  # type: ignore[union-attr]
    return [type(one)(**{**whole, "n": n}) for n, (one, whole) in enumerate(zip(records, given, strict=True), 1)]


def seconds(*records: Record, start: int = NOON, batches: int = 1) -> list[Span]:
    """Return what the numbers prove, in seconds after noon, with a claim after each trade."""
    stream: list[Record] = []
    for one in [opened(1, start), *records]:
        stream.append(one)
        if isinstance(one, Trade):
            start = one.received_at if isinstance(stream[-2], FeedClosed) else start
            stream.append(watermark(1, one.received_at - LATE + SECOND, start))
    stream.append(watermark(1, NOON + 300 * SECOND, start))
    return [
        ((low - NOON) // SECOND, (high - NOON) // SECOND) for low, high in proven(*in_turn(stream), batches=batches)
    ]


def counting(*numbers: int) -> list[Trade]:
    return [numbered(1, number) for number in numbers]


@pytest.mark.parametrize("batches", [1, 7, 40])
def test_the_time_between_consecutive_numbers_is_proven_but_for_what_may_still_be_discovered(batches: int) -> None:
    assert seconds(*counting(*range(1, 31)), batches=batches) == [(1 + 6, 30 - 6)]


def test_after_the_last_number_nothing_is() -> None:
    assert seconds(*counting(*range(1, 31)), closed(1, NOON + 300 * SECOND)) == [(7, 24)]


@pytest.mark.parametrize("batches", [1, 7, 40])
def test_a_missing_number_stops_it_until_it_comes(batches: int) -> None:
    begun = counting(*range(1, 21), *range(22, 41))
    assert seconds(*begun, batches=batches) == [(7, 14)]
    assert seconds(*begun, numbered(1, 21, at=41, ts=21), batches=batches) == [(7, 34)]


@pytest.mark.parametrize("batches", [1, 7, 40])
def test_numbers_behind_a_lost_one_prove_again_once_its_loss_has_ended_the_span(batches: int) -> None:
    certain = closed(1, None, "the provider's numbering lacks 1 trade", certain=NOON + 12 * SECOND)
    lost: list[Record] = [*counting(*range(1, 21), *range(22, 41)), certain, *counting(*range(41, 71))]
    assert seconds(*lost, batches=batches) == [(7, 12), (41 + 6, 64)]


def test_a_repeat_of_a_trade_changes_nothing_and_another_trade_of_its_number_ends_the_run() -> None:
    low, high = counting(*range(1, 21)), counting(*range(21, 41))
    assert seconds(*low, numbered(1, 15), *high) == [(7, 34)]
    assert seconds(*low, numbered(1, 15, at=20, ts=20, id="another"), *high) == [(7, 14), (21 + 6, 34)]


def test_numbering_that_starts_over_joins_nothing() -> None:
    first = [numbered(1, 90_000 + at, at=at) for at in range(1, 31)]
    assert seconds(*first, *[numbered(1, at, at=at) for at in range(31, 61)]) == [(7, 24), (37, 54)]


def test_a_trade_without_a_number_a_refused_one_and_a_lost_record_end_the_run() -> None:
    low, high = counting(*range(1, 21)), counting(*range(21, 41))
    assert seconds(*low, trade(1, NOON + 21 * SECOND), *high) == [(7, 14), (27, 34)]
    stream = in_turn([opened(1, NOON), *low, watermark(1, NOON + 20 * SECOND), *high, watermark(1, NOON + 40 * SECOND)])
    assert proven(*stream) == [(NOON + 7 * SECOND, NOON + 34 * SECOND)]
    refused = RefusedTrade(23, "trade refused: older than is kept", ts=NOON - 99 * SECOND)
    first = (NOON + 7 * SECOND, NOON + 14 * SECOND)
    assert proven(*stream[:22], refused, *stream[23:]) == [first, (NOON + 28 * SECOND, NOON + 34 * SECOND)]
    assert proven(*stream[:22], *stream[23:]) == [first]  # and its span: the next claim only begins one


def test_what_is_not_claimed_of_the_connection_is_not_claimed_by_numbers() -> None:
    trades = counting(*range(1, 31))
    stream = in_turn([opened(1, NOON + 10 * SECOND), *trades, watermark(1, NOON + 15 * SECOND, NOON + 10 * SECOND)])
    assert proven(*stream) == [(NOON + 10 * SECOND, NOON + 15 * SECOND)]
    assert proven(*in_turn(trades)) == []


@dataclass
class Wire:
    """One connection: what came of a market's trades, and what may be claimed of it, pair of numbers by pair."""

    rng: random.Random
    records: list[Record] = field(default_factory=list)
    spans: list[list[Trade]] = field(default_factory=lambda: [[]])  # what came between two ends
    traded: list[tuple[int, int]] = field(default_factory=list)  # (time, number) of all trades

    def run(self, harm: bool) -> None:
        """Let trades be discovered in any order within LATE, and harm what comes of them."""
        rng, ts = self.rng, NOON
        found = []
        for _ in range(rng.randrange(5, 60)):
            ts += rng.choice([0, SECOND // 3, SECOND, 4 * SECOND, 9 * SECOND])
            found.append((ts + rng.randrange(LATE), ts))
        found.sort()
        self.traded = [(ts, number) for number, (_, ts) in enumerate(found, 1)]
        coming = [
            numbered(1, number, (at - NOON) / SECOND, (ts - NOON) / SECOND) for number, (at, ts) in enumerate(found, 1)
        ]
        for at in range(1, len(coming) - 1):
            if rng.random() < 0.1:
                coming[at : at + 2] = coming[at + 1], coming[at]  # overtaken on the way
        self.say(opened(1, NOON))
        for one in coming:
            event = rng.random() if harm else 1.0
            if event < 0.05:
                continue  # lost in silence
            self.say(one)
            if event < 0.1:
                self.say(one)
            elif event < 0.14:
                self.say(closed(1, None))
                self.spans.append([])
            elif event < 0.2:
                self.say(watermark(1, one.received_at - LATE, one.received_at))
        self.say(watermark(1, NOON + 9999 * SECOND))

    def say(self, record: Record) -> None:
        if isinstance(record, Trade):
            self.spans[-1].append(record)
        self.records.append(record)

    def claimable(self) -> list[Span]:
        """Return every span between two trades whose numbers and all between them came after the same end."""
        found: list[Span] = []
        for came in self.spans:
            numbers = {one.seq or 0: one for one in reversed(came)}
            for first in numbers.values():
                number = first.seq or 0
                while number in numbers:
                    last = numbers[number]
                    low = max(first.received_at, first.ts + LATE)
                    high = min(last.ts, last.received_at) - LATE
                    found += [(low, high)] if low < high else []
                    number += 1
        return found


@given(seed=st.integers(0, 2**32), harm=st.booleans(), batches=st.integers(1, 9))
def test_numbers_prove_no_more_than_the_pairs_of_the_model_and_all_of_it_if_nothing_is_harmed(
    seed: int, harm: bool, batches: int
) -> None:
    wire = Wire(random.Random(seed))
    wire.run(harm)
    claims = proven(*in_turn(wire.records), batches=batches)
    model = wire.claimable()
    for low, high in claims:
        assert holds(model, low, high)
    came = {one.seq for span in wire.spans for one in span}
    for ts, number in wire.traded:
        assert number in came or not holds(claims, ts, ts + 1)
    if not harm:
        first = wire.spans[0][0]  # what a later one would prove of an earlier time is left
        begins, ends = max(first.received_at, first.ts + LATE), max((high for _, high in model), default=0)
        assert claims == ([(begins, ends)] if begins < ends else [])
