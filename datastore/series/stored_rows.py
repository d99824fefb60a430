"""The rows of a series as text, run by run: stored ones as they are, finer ones aggregated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
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
    pieces = list(_pieces(frame, runs, evidence))
    writing = [shape.row, shape.absent, shape.between, all_opens]
    found: list[Any] = []
    if any(piece.stored for piece in pieces):
        found += fetch_all(STORED, [market.pk, *writing, *_plan(pieces, runs, True)])
    if not all(piece.stored for piece in pieces):
        found += fetch_all(BUCKETS, [market.pk, frame.seconds, *writing, *_plan(pieces, runs, False)])
    rows = [NO_ROWS] * len(runs)
    for number, count, opens, body in sorted(found):
        index = pieces[number - 1].run
        rows[index] = _behind(rows[index], Rows(count, opens or (), body), shape)
    return rows


def _behind(before: Rows, rows: Rows, shape: Shape) -> Rows:
    if not before.count:
        return rows
    body = before.body + shape.between + rows.body
    return Rows(before.count + rows.count, [*before.opens, *rows.opens], body)


def _pieces(frame: Timeframe, runs: Sequence[Run], evidence: Evidence) -> Iterator[_Piece]:
    leaves = leaves_of(evidence, frame.base, runs[0].start, runs[-1].stop)
    labelled = groupby(_labelled(leaves, runs), key=lambda part: (part[1], part[0].resolution == frame.seconds))
    for (run, stored), group in labelled:
        yield _Piece(run, stored, [leaf for leaf, _ in group])


def _labelled(leaves: Iterator[Leaf], runs: Sequence[Run]) -> Iterator[tuple[Leaf, int]]:
    """Cut leaves where runs meet, so that each part belongs to one run; name it by its place."""
    index = 0
    for leaf in leaves:
        at = leaf.start
        while at < leaf.stop:
            while runs[index].stop <= at:
                index += 1
            until = min(leaf.stop, runs[index].stop)
            yield Leaf(at, until, leaf.resolution, leaf.from_provider), index
            at = until


def _plan(pieces: Sequence[_Piece], runs: Sequence[Run], stored: bool) -> list[str]:
    """Return the plan's columns: leaves, each with its piece's number from 1, and source and closed by that number."""
    plan = [(leaf, number) for number, piece in enumerate(pieces, 1) if piece.stored is stored for leaf in piece.leaves]
    return [
        _array(leaf.start for leaf, _ in plan),
        _array(leaf.stop for leaf, _ in plan),
        _array(leaf.resolution for leaf, _ in plan),
        _array(leaf.from_provider for leaf, _ in plan),
        _array(number for _, number in plan),
        _array(runs[piece.run].source for piece in pieces),
        _array(runs[piece.run].closed for piece in pieces),
    ]


def _array(values: Iterable[object]) -> str:
    """Return an array in the database's own spelling: of thousands of leaves, the driver's way costs more than they."""
    return f"{{{','.join(map(str, values))}}}"
