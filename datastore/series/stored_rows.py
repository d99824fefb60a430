"""The rows of a series as text, run by run: stored ones as they are, finer ones aggregated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from datastore.coverage.certificate import Evidence, Leaf, Run, leaves_of
from datastore.coverage.segments import NO_ROWS, Rows
from datastore.db.queries import fetch_all
from datastore.models import Market
from datastore.series.row_format import Shape
from datastore.timeframes.timeframe import Timeframe

PLAN = "%s, %s, %s, %s, %s::bigint[], %s::bigint[], %s::int[], %s::boolean[], %s::int[], %s::text[], %s::boolean[])"
STORED = f"select * from stored_texts(%s, {PLAN}"  # noqa: S608 - a constant of this file
BUCKETS = f"select * from bucket_texts(%s, %s, {PLAN}"  # noqa: S608 - a constant of this file


@dataclass(frozen=True, slots=True)
class _Piece:
    """Neighbouring leaves of one run, all of them stored as they are shown, or none: whole buckets, so a whole text."""

    run: int
    stored: bool
    leaves: list[Leaf]


def rows_of(
    market: Market, frame: Timeframe, runs: Sequence[Run], evidence: Evidence, shape: Shape, all_opens: bool = False
) -> list[Rows]:
    """Return the rows of each run; of partial ones with their open times, with all_opens of all."""
    # Cut the stored rows at the bounds of the runs, and gather neighbours of one run and one way of reading.
    pieces: list[_Piece] = []
    run = 0
    for leaf in leaves_of(evidence, frame.base, runs[0].start, runs[-1].stop):
        at, stored = leaf.start, leaf.resolution == frame.seconds
        while at < leaf.stop:
            while runs[run].stop <= at:
                run += 1
            until = min(leaf.stop, runs[run].stop)
            if not pieces or (pieces[-1].run, pieces[-1].stored) != (run, stored):
                pieces.append(_Piece(run, stored, []))
            pieces[-1].leaves.append(Leaf(at, until, leaf.resolution, leaf.from_provider))
            at = until

    writing = [shape.row, shape.absent, shape.between, all_opens]
    found: list[Any] = []
    if any(piece.stored for piece in pieces):
        found += fetch_all(STORED, [market.pk, *writing, *_plan(pieces, runs, True)])
    if not all(piece.stored for piece in pieces):
        found += fetch_all(BUCKETS, [market.pk, frame.seconds, *writing, *_plan(pieces, runs, False)])

    rows = [NO_ROWS] * len(runs)
    for number, count, opens, body in sorted(found):
        run = pieces[number - 1].run
        before = rows[run]
        if before.count:
            count, opens = before.count + count, [*before.opens, *(opens or ())]
            body = before.body + shape.between + body
        rows[run] = Rows(count, opens or (), body)
    return rows


def _plan(pieces: Sequence[_Piece], runs: Sequence[Run], stored: bool) -> list[str]:
    """Return the plan's columns: leaves, each with its piece's number from 1, and source and closed by that number."""
    plan = [(leaf, number) for number, piece in enumerate(pieces, 1) if piece.stored is stored for leaf in piece.leaves]
    columns: list[list[Any]] = [
        [leaf.start for leaf, _ in plan],
        [leaf.stop for leaf, _ in plan],
        [leaf.resolution for leaf, _ in plan],
        [leaf.from_provider for leaf, _ in plan],
        [number for _, number in plan],
        [runs[piece.run].source for piece in pieces],
        [runs[piece.run].closed for piece in pieces],
    ]
    # Arrays in the database's own spelling: of thousands of leaves, the driver's way costs more than reading them.
    return [f"{{{','.join(map(str, column))}}}" for column in columns]
