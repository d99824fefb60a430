from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from datastore.ingest.feed_sequence import FeedSequence, FeedSpan, RefusedTrade, apply
from streaming.ends import EndCode
from streaming.records import LiveRecord
from tests.support.datastore.records import NOON, SECOND, closed, opened, trade, watermark
from tests.support.datastore.reference import holds, proven_by

# What one connection says of a market: each step is (kind, seconds that pass).
steps = st.lists(st.tuples(st.sampled_from("ttttwwwwco"), st.integers(0, 40)), max_size=30)


def told(kinds: list[tuple[str, int]]) -> list[LiveRecord]:
    """Return the numbered records of a connection that goes through these steps."""
    now, start = NOON, NOON
    records: list[LiveRecord] = [opened(1, NOON)]
    for n, (kind, seconds) in enumerate(kinds, 2):
        now += seconds * SECOND
        if kind == "t":
            records.append(trade(n, now))
        elif kind == "w":
            records.append(watermark(n, now - 5 * SECOND, start, seen=now if n % 2 else None))
        elif kind == "c":
            records.append(closed(n, now - 5 * SECOND if n % 3 else None, start=start))
        else:
            start = now + SECOND
            records.append(opened(n, start))
    return records


def spans_of(batches: list[list[LiveRecord]]) -> tuple[FeedSequence, dict[int, FeedSpan]]:
    """Return the position and the newest form of every span after these batches."""
    position = FeedSequence()
    spans: dict[int, FeedSpan] = {}
    for batch in batches:
        step = apply(position, batch)
        position = step.position
        spans |= {span.start: span for span in step.spans}
    return position, spans


@given(kinds=steps, lost=st.sets(st.integers(1, 31)), cuts=st.sets(st.integers(0, 31)), again=st.integers(0, 6))
def test_spans_are_what_the_delivered_records_prove_in_any_batching(
    kinds: list[tuple[str, int]], lost: set[int], cuts: set[int], again: int
) -> None:
    records = [record for record in told(kinds) if record.n not in lost]
    edges = [0, *sorted(cut for cut in cuts if cut < len(records)), len(records)]
    # Each batch begins with the last records of the one before, as after a crash before the commit.
    batches = [records[max(low - again, 0) : high] for low, high in pairwise(edges)]
    position, spans = spans_of(batches)
    proven = proven_by(records)
    stored = [(span.start, span.stop) for span in spans.values()]
    for low, high in proven:
        assert holds(stored, low, high)
    for low, high in stored:
        assert holds(proven, low, high)
    assert position.last_n == max((record.n for record in records), default=0)
    assert position.unbroken == (not lost & set(range(1, position.last_n)))


@given(kinds=steps, cuts=st.sets(st.integers(0, 31)))
def test_repeats_alone_prove_nothing_new(kinds: list[tuple[str, int]], cuts: set[int]) -> None:
    records = told(kinds)
    step = apply(FeedSequence(), records)
    again = apply(step.position, records)
    assert again.position == step.position
    assert (again.spans, again.openings) == ((), ())


def test_a_jump_ends_the_span_with_the_number_of_lost_records() -> None:
    step = apply(FeedSequence(), [opened(1, NOON), watermark(2, NOON + 9), watermark(15, NOON + 20)])
    assert step.spans == (FeedSpan(NOON, NOON + 9, "stream lost 12 records", EndCode.STREAM),)
    # The first watermark after an end only sets a new start.
    assert step.position == FeedSequence(15, unbroken=False, start=NOON + 20, reason="stream lost 12 records")
    assert apply(step.position, [watermark(16, NOON + 30)]).spans == (FeedSpan(NOON + 20, NOON + 30),)


def test_a_span_that_begins_anew_begins_at_the_newest_stamp_seen_by_then() -> None:
    step = apply(FeedSequence(), [watermark(2, NOON + 20, seen=NOON + 25)])
    assert step.position.start == NOON + 25
    assert step.position.reason == "stream lost 1 record"


def test_a_start_ahead_of_time_claims_nothing_until_a_watermark_passes_it() -> None:
    step = apply(FeedSequence(), [opened(1, NOON + 50), watermark(2, NOON + 50)])
    assert step.spans == ()
    assert apply(step.position, [watermark(3, NOON + 51)]).spans == (FeedSpan(NOON + 50, NOON + 51),)


def test_a_claim_that_goes_back_changes_nothing() -> None:
    step = apply(FeedSequence(), [opened(1, NOON), watermark(2, NOON + 50)])
    assert apply(step.position, [watermark(3, NOON + 40)]).spans == ()


def test_an_ended_span_keeps_its_first_reason_and_is_never_extended() -> None:
    step = apply(FeedSequence(), [opened(1, NOON), watermark(2, NOON + 50), closed(3, NOON + 50, "socket lost")])
    later = apply(step.position, [closed(4, NOON + 90, "stopped"), watermark(5, NOON + 99), watermark(6, NOON + 199)])
    assert step.spans == (FeedSpan(NOON, NOON + 50, "socket lost", EndCode.OTHER),)
    assert later.spans == (FeedSpan(NOON + 99, NOON + 199),)


def test_a_refused_trade_ends_the_span() -> None:
    refused = RefusedTrade(3, "trade refused: price out of range")
    step = apply(FeedSequence(), [opened(1, NOON), watermark(2, NOON + 50), refused])
    assert step.spans == (FeedSpan(NOON, NOON + 50, "trade refused: price out of range", EndCode.REFUSED),)


def test_only_an_opening_whose_records_all_arrived_may_be_bridged() -> None:
    assert len(apply(FeedSequence(), [trade(1, NOON), opened(2, NOON)]).openings) == 1
    assert apply(FeedSequence(), [trade(1, NOON), opened(3, NOON)]).openings == ()


def test_a_second_subscription_ends_the_first_span() -> None:
    step = apply(
        FeedSequence(), [opened(1, NOON), watermark(2, NOON + 5), opened(3, NOON + 9), watermark(4, NOON + 12)]
    )
    assert step.spans == (
        FeedSpan(NOON, NOON + 5, "subscribed again", EndCode.RESUBSCRIBED),
        FeedSpan(NOON + 9, NOON + 12),
    )
