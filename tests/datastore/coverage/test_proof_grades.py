"""What each bucket rests on, against a slow and obvious answer minute by minute."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from datastore.coverage.certificate import LIVE, PROVEN, PROVIDER, Evidence, runs_of
from datastore.coverage.facts import _by_proof
from datastore.reference.traits import Proof
from datastore.timeframes.intervals import union
from datastore.timeframes.timeframe import TIMEFRAMES
from ingestion.providers.cryptocompare.traits import TRAITS
from tests.support.datastore.records import MINUTE, NOON, SECOND
from tests.support.datastore.reference import holds

HOUR = 60 * MINUTE
STOP = NOON + 6 * HOUR
times = st.builds(
    lambda hour, minute, rest: NOON + hour * HOUR + minute * MINUTE + rest,
    st.integers(0, 6),
    st.sampled_from([0, 0, 1, 2, 30, 59]),
    st.sampled_from([0, 0, 1, 30 * SECOND]),
)
spans = st.tuples(times, times).map(lambda span: (min(span), max(span) + 1))
graded = st.lists(st.tuples(st.sampled_from([Proof.IDS, Proof.SEQUENCE, Proof.CONNECTION]), spans), max_size=6)


def of_minute(live: list[tuple[Proof, Any]], answered: list[Any], at: int) -> Proof | None:
    """Return the strongest proof that, with stronger ones, holds a minute; None if nothing does."""
    order = list(Proof)
    for proof in (Proof.IDS, Proof.SEQUENCE, Proof.CONNECTION):
        strong = [span for other, span in live if order.index(other) <= order.index(proof)]
        if holds(strong, at, at + MINUTE):
            return proof
    return Proof.CANDLE if holds(answered, at, at + MINUTE) else None


@given(live=graded, answers=st.lists(spans, max_size=2), timeframe=st.sampled_from(["1m", "5m", "1h", "2h"]))
def test_a_bucket_shows_the_weakest_of_what_its_minutes_need(
    live: list[tuple[Proof, Any]], answers: list[Any], timeframe: str
) -> None:
    answered = [(low // MINUTE * MINUTE, high // MINUTE * MINUTE) for low, high in answers]
    answered = [span for span in answered if span[0] < span[1]]
    evidence = Evidence(
        now=STOP + HOUR,
        watermark=STOP,
        known=True,
        behind=False,
        candles=TRAITS.candles,
        live=union(span for _, span in live),
        provider={60: union(answered)},
        graded=_by_proof(live),
    )
    frame = TIMEFRAMES[timeframe]
    runs = runs_of(evidence, frame, NOON, STOP)
    assert [run.start for run in runs] == [NOON, *(run.stop for run in runs[:-1])]
    for run in runs:
        assert (run.proof is not None) == (run.state in PROVEN)
        for start in range(run.start, run.stop, frame.seconds * SECOND):
            minutes = [of_minute(live, answered, at) for at in range(start, start + frame.seconds * SECOND, MINUTE)]
            if run.state in PROVEN:
                assert None not in minutes
                order = list(Proof)
                weakest = max((proof for proof in minutes if proof), key=order.index)
                # An hour that one kind of span holds is not asked minute by minute, and may rest on less than each.
                assert run.proof is not None and order.index(run.proof) >= order.index(weakest)
                if frame.base == 60:
                    assert run.proof == weakest
                assert run.proof != Proof.CANDLE or run.state != LIVE
                assert run.proof == Proof.CANDLE or run.state != PROVIDER


def test_a_stretch_that_several_spans_hold_together_rests_on_the_weakest_that_it_needs() -> None:
    ids, connection = (NOON, NOON + 90 * SECOND), (NOON + 60 * SECOND, NOON + 5 * MINUTE)
    live = [(Proof.IDS, ids), (Proof.CONNECTION, connection)]
    evidence = Evidence(STOP, STOP, True, False, TRAITS.candles, live=union([ids, connection]), graded=_by_proof(live))
    shown = [(run.stop - run.start, run.proof) for run in runs_of(evidence, TIMEFRAMES["1m"], NOON, NOON + 5 * MINUTE)]
    assert shown == [(MINUTE, Proof.IDS), (4 * MINUTE, Proof.CONNECTION)]
    (bucket,) = runs_of(evidence, TIMEFRAMES["5m"], NOON, NOON + 5 * MINUTE)
    assert bucket.proof == Proof.CONNECTION
