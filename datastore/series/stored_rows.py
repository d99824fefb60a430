"""The rows of a series as text, run by run: stored ones as they are, finer ones aggregated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from datastore.coverage.certificate import PARTIAL, Evidence, Leaf, Run, leaves_of
from datastore.coverage.segments import NO_ROWS, Rows
from datastore.db.queries import fetch_all, fetch_stepwise
from datastore.models import Market
from datastore.series.row_format import Shape
from datastore.series.row_sql import CLOSED, SERVED_PRICES, SOURCE, STORED_PRICES, TRADES, row_sql
from datastore.timeframes.intervals import SECOND_US
from datastore.timeframes.timeframe import Timeframe

PLAN = "%s, %s, %s, %s, %s::bigint[], %s::bigint[], %s::int[], %s::boolean[], %s::int[], %s::text[], %s::boolean[])"
STORED = f"select * from stored_texts(%s, %s, {PLAN}"  # noqa: S608 - a constant of this file
BUCKETS = f"select * from bucket_texts(%s, %s, %s, {PLAN}"  # noqa: S608 - a constant of this file
LONG_BUCKETS = 1_000  # of this length on, a stretch of stored rows is read in texts of many rows each
TEXT_ROWS = 500  # fewer cost more a row, and with more the server and its reader wait for each other
# Few providers have a row whose open or close lies outside its range, and to compare all four costs half as much again
# as to write a row. Those few are indexed. (The offset keeps the planner from looking for them once a row.)
_ODD = """
 cross join lateral (
       select exists (select from provider_candle c
                       where (c.open < c.low or c.open > c.high or c.close < c.low or c.close > c.high)
                         and c.market_id = %(market)s and c.resolution = %(resolution)s
                         and c.open_time >= instant(s.at) and c.open_time < instant(s.at + %(step)s::bigint)) as odd
       offset 0) o"""
_STRETCH = """
select s.at, x.rows, x.body
  from generate_series(%(start)s::bigint, %(stop)s::bigint - 1, %(step)s::bigint) s (at){looked_for}
 cross join lateral (
       select count(*) as rows, string_agg({written}, %(between)s::text order by c.open_time) as body
         from {table} c
        where c.market_id = %(market)s and c.resolution = %(resolution)s{traded}
          and c.open_time >= instant(s.at)
          and c.open_time < instant(least(s.at + %(step)s::bigint, %(stop)s::bigint))) x
 where x.rows > 0
"""


@dataclass(frozen=True, slots=True)
class _Piece:
    """Neighbouring leaves of one run, all of them stored as they are shown, or none: whole buckets, so a whole text."""

    run_number: int
    stored: bool
    leaves: list[Leaf]


def rows_of(
    market: Market,
    frame: Timeframe,
    runs: Sequence[Run],
    evidence: Evidence,
    shape: Shape,
    all_opens: bool = False,
    raw: bool = False,
    partial_only: bool = False,
) -> list[Rows]:
    """Return the rows of each run; of partial ones with their open times, with all_opens of all.

    raw: the provider's own prices, also where its open or close lies outside the range of its row. partial_only: only
    the rows that may lack trades.
    """
    pieces = _pieces(frame, runs, evidence)
    if partial_only:
        pieces = [piece for piece in pieces if runs[piece.run_number].source == PARTIAL]

    rows = [NO_ROWS] * len(runs)
    long = [] if all_opens else [piece for piece in pieces if _is_long(piece, pieces, runs)]
    for piece in long:
        (leaf,) = piece.leaves
        texts = list(stretch_texts(market, runs[piece.run_number], leaf, shape, raw))
        body = shape.between.encode().join(text for _, text in texts).decode()
        rows[piece.run_number] = Rows(sum(count for count, _ in texts), (), body)
    pieces = [piece for piece in pieces if piece not in long]
    writing = [shape.row, shape.absent, shape.between, all_opens]
    found: list[Any] = []
    if any(piece.stored for piece in pieces):
        found += fetch_all(STORED, [market.pk, raw, *writing, *_plan(pieces, runs, True)])
    if not all(piece.stored for piece in pieces):
        found += fetch_all(BUCKETS, [market.pk, raw, frame.seconds, *writing, *_plan(pieces, runs, False)])

    for place, count, opens, body in sorted(found):
        number = pieces[place - 1].run_number
        before = rows[number]
        if before.count:
            count, opens = before.count + count, [*before.opens, *(opens or ())]
            body = before.body + shape.between + body
        rows[number] = Rows(count, opens or (), body)
    return rows


def _pieces(frame: Timeframe, runs: Sequence[Run], evidence: Evidence) -> list[_Piece]:
    """Cut the stored rows at the bounds of the runs, and gather neighbours of one run and one way of reading."""
    pieces: list[_Piece] = []
    number = 0
    for leaf in leaves_of(evidence, frame.base, runs[0].start, runs[-1].stop):
        at, stored = leaf.start, leaf.resolution == frame.seconds
        while at < leaf.stop:
            while runs[number].stop <= at:
                number += 1
            until = min(leaf.stop, runs[number].stop)
            if not pieces or (pieces[-1].run_number, pieces[-1].stored) != (number, stored):
                pieces.append(_Piece(number, stored, []))
            pieces[-1].leaves.append(Leaf(at, until, leaf.resolution, leaf.from_provider))
            at = until
    return pieces


def single_leaf(frame: Timeframe, run: Run, evidence: Evidence) -> Leaf | None:
    """Return the one stretch of stored rows that a run shows as they are; None if it is made of several, or of none."""
    leaves = list(islice(leaves_of(evidence, frame.base, run.start, run.stop), 2))
    return leaves[0] if len(leaves) == 1 and leaves[0].resolution == frame.seconds else None


def _is_long(piece: _Piece, pieces: Sequence[_Piece], runs: Sequence[Run]) -> bool:
    """Return whether a piece is a whole run of many rows, each of which is shown as it is stored."""
    leaf, run = piece.leaves[0], runs[piece.run_number]
    buckets = (leaf.stop - leaf.start) // (leaf.resolution * SECOND_US)
    alone = len(piece.leaves) == 1 and sum(other.run_number == piece.run_number for other in pieces) == 1
    return piece.stored and alone and run.source != PARTIAL and buckets >= LONG_BUCKETS


def stretch_texts(market: Market, run: Run, leaf: Leaf, shape: Shape, raw: bool = False) -> Iterator[tuple[int, bytes]]:
    """Yield the rows of a run that is a single leaf, many at a time: their number, and their text.

    The server puts whole texts together: to send and to take each row by itself costs as much as to write it.
    """
    same = {SOURCE: run.source, CLOSED: "true" if run.closed else "false"}
    if leaf.from_provider:
        same[TRADES] = shape.absent
    written, values = row_sql(shape, STORED_PRICES, same)
    if may_be_odd := leaf.from_provider and not raw:
        served, _ = row_sql(shape, SERVED_PRICES, same)
        written = f"case when o.odd then {served} else {written} end"
    query = _STRETCH.format(
        written=written,
        looked_for=_ODD if may_be_odd else "",
        table="provider_candle" if leaf.from_provider else "candle",
        traded="" if leaf.from_provider else " and c.trades > 0",
    )
    span = {
        "market": market.pk,
        "resolution": leaf.resolution,
        "start": leaf.start,
        "stop": leaf.stop,
        "step": TEXT_ROWS * leaf.resolution * SECOND_US,
        "between": shape.between,
    }
    last = leaf.start - 1
    for at, rows, body in fetch_stepwise(query, {**span, **values}):
        if at <= last:
            raise AssertionError(f"rows from {at} came after those from {last}")
        last = at
        yield rows, body


def _plan(pieces: Sequence[_Piece], runs: Sequence[Run], stored: bool) -> list[str]:
    """Return the plan's columns: leaves, each with its piece's number from 1, and source and closed by that number."""
    plan = [(leaf, number) for number, piece in enumerate(pieces, 1) if piece.stored is stored for leaf in piece.leaves]
    columns: list[list[Any]] = [
        [leaf.start for leaf, _ in plan],
        [leaf.stop for leaf, _ in plan],
        [leaf.resolution for leaf, _ in plan],
        [leaf.from_provider for leaf, _ in plan],
        [number for _, number in plan],
        [runs[piece.run_number].source for piece in pieces],
        [runs[piece.run_number].closed for piece in pieces],
    ]
    # Arrays in the database's own spelling: of thousands of leaves, the driver's way costs more than reading them.
    return [f"{{{','.join(map(str, column))}}}" for column in columns]
