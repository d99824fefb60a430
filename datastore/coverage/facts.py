"""What is known of a market, and what is proven of a stretch of its time: the facts that a certificate is made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from datastore.coverage.certificate import Evidence
from datastore.coverage.reasons import NO_ID_GAPS, IdGap, IdGaps, Reason
from datastore.coverage.segments import Ended, Repair
from datastore.db.queries import fetch_all
from datastore.models import Market
from datastore.reference.provider_registry import traits_of
from datastore.reference.staleness import stale_after
from datastore.reference.traits import CandleTraits, Proof
from datastore.timeframes.intervals import Interval, union
from datastore.timeframes.timeframe import BASE
from streaming.ends import EndCode
from streaming.records import Micros

REPAIR_FIELDS = ("reason", "code", "attempts", "next_try", "final")
HEAD = "select * from series_head(%s, %s)"
FACTS = "select * from series_facts(%s, %s, %s, %s, %s, %s, %s)"
MANY_FACTS = "select * from series_facts(%s::int[], %s::int[], %s::timestamptz[], %s::timestamptz[], %s::interval)"


@dataclass(frozen=True, slots=True)
class MarketHead:
    """The market's side of an answer, times in microseconds of the provider's clock."""

    series_id: str
    version: int
    watermark: Micros | None
    now: Micros
    known: bool  # some stamp of the provider was seen
    behind: bool  # acknowledged records wait to be stored
    identity: str  # which data of the provider it is: "simulator/seed=1"
    simulated: bool
    provider: str

    @property
    def candle_traits(self) -> CandleTraits:
        """Return what is peculiar to the candles of the market's provider."""
        return traits_of(self.provider).candles


class StoredCorrection(NamedTuple):
    """A stored bucket that changed after it was final, ours or the provider's, and how often."""

    start: Micros
    changes: int
    from_provider: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known of a market and a stretch: the head, what is proven, how live spans ended, what is repaired."""

    head: MarketHead
    evidence: Evidence
    ended: list[Ended]
    repairs: list[Repair]
    id_gaps: IdGaps  # ids that are known to be missing, or in doubt
    corrections: list[StoredCorrection]  # none if they were not asked for

    @property
    def final_gaps(self) -> list[Interval]:
        """Return the gaps of the stretch's resolution that the provider said it will never fill."""
        return union((low, high) for low, high, repair in self.repairs if repair["final"])


def head_of(market: Market) -> MarketHead:
    """Return what is known of the market now."""
    (row,) = fetch_all(HEAD, [market.pk, stale_after()])
    return MarketHead(*row)


def facts_of(
    market: Market,
    resolution: int,
    start: datetime | None,
    stop: datetime | None,
    back: timedelta = timedelta(),
    corrections: bool = False,
) -> Facts:
    """Return the facts of [start, stop) up to a resolution in seconds, in one query.

    Without stop: up to the end of time. Without start: from `back` before stop, or before the provider's time. Buckets
    that changed after they were final are looked for only on request.
    """
    (row,) = fetch_all(FACTS, [market.pk, stale_after(), start, stop, back, resolution, corrections])
    return _facts(row)


class Stretch(NamedTuple):
    """A stretch of one market at one resolution, in seconds."""

    market_id: int
    resolution: int
    start: datetime
    stop: datetime


def facts_of_many(stretches: Sequence[Stretch]) -> list[Facts]:
    """Return the facts of each stretch, in their order, in one query for all."""
    if not stretches:
        return []
    columns = [list(column) for column in zip(*stretches, strict=True)]
    rows = fetch_all(MANY_FACTS, [*columns, stale_after()])
    return [_facts(row) for row in rows]


def _facts(row: Sequence[Any]) -> Facts:
    head, columns, (repairs, id_gaps, corrections) = MarketHead(*row[:9]), row[9:15], row[15:]

    # One span: its resolution (0: live), start, stop, and how it ended, with the kind of end, and its proof.
    spans = list(zip(*(column or () for column in columns), strict=True))
    evidence = Evidence(
        now=head.now,
        watermark=head.watermark,
        known=head.known,
        behind=head.behind,
        candles=traits_of(head.provider).candles,
        live=union((low, high) for resolution, low, high, *_ in spans if not resolution),
        graded=_by_proof((proof, (low, high)) for resolution, low, high, *_, proof in spans if not resolution),
        provider={
            wanted: union((low, high) for resolution, low, high, *_ in spans if resolution == wanted) for wanted in BASE
        },
    )
    rows: list[Any] = msgspec.json.decode(repairs) if repairs else []
    return Facts(
        head,
        evidence,
        [
            Ended(high, None if reason is None else Reason(code or EndCode.OTHER, reason))
            for resolution, _, high, reason, code, _ in spans
            if not resolution
        ],
        [(low, high, dict(zip(REPAIR_FIELDS, repair, strict=True))) for low, high, *repair in rows],
        IdGaps([IdGap(*gap) for gap in msgspec.json.decode(id_gaps)]) if id_gaps else NO_ID_GAPS,
        [StoredCorrection(*one) for one in msgspec.json.decode(corrections)] if corrections else [],
    )


def _by_proof(spans: Iterable[tuple[str, Interval]]) -> list[tuple[Proof, list[Interval]]]:
    """Return for each proof stronger than the connection, the strongest first, what rests on it or a stronger one."""
    found = [(proof, span) for proof, span in spans if proof != Proof.CONNECTION]
    graded: list[tuple[Proof, list[Interval]]] = []
    held: list[Interval] = []
    for proof in (Proof.IDS, Proof.SEQUENCE):
        if own := [span for text, span in found if text == proof]:
            held = union([*held, *own])
            graded.append((proof, held))
    return graded
