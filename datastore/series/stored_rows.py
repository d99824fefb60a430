"""The rows of a series as text, run by run: stored ones as they are, finer ones aggregated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from datastore.coverage.certificate import PARTIAL, Evidence, Leaf, Run, leaves_of
from datastore.coverage.segments import NO_ROWS, Rows
from datastore.db.queries import copy_out, fetch_all
from datastore.models import Market
from datastore.series.row_format import CSV, Shape
from datastore.timeframes.intervals import SECOND_US
from datastore.timeframes.timeframe import Timeframe

PLAN = "%s, %s, %s, %s, %s::bigint[], %s::bigint[], %s::int[], %s::boolean[], %s::int[], %s::text[], %s::boolean[])"
STORED = f"select * from stored_texts(%s, %s, {PLAN}"  # noqa: S608 - a constant of this file
BUCKETS = f"select * from bucket_texts(%s, %s, %s, {PLAN}"  # noqa: S608 - a constant of this file
COPY_BUCKETS = 1_000  # of this length on, a stretch of stored rows is copied
# One stretch of one stored series in the columns of row_format.CSV. What is stored has no needless zeros.
_OURS = "c.open, c.high, c.low, c.close"
_SERVED = (
    "served_open(c.open, c.high, c.low, c.close, false) as open, served_high(c.high, c.close, false) as high,"
    " served_low(c.low, c.close, false) as low, c.close"
)
_COPY = (
    "copy (select date_part('epoch', c.open_time)::bigint * 1000, {prices}, c.volume, c.quote_volume, {trades},"
    " '{source}' as source, '{closed}', c.revision from {table} c where c.market_id = %s and c.resolution = %s"
    " and c.open_time >= instant(%s) and c.open_time < instant(%s){traded} order by c.open_time) to stdout"
    " (format csv{options})"
)


@dataclass(frozen=True, slots=True)
class _Piece:
    """Neighbouring leaves of one run, all of them stored as they are shown, or none: whole buckets, so a whole text."""

    run: int
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
    if partial_only:
        pieces = [piece for piece in pieces if runs[piece.run].source == PARTIAL]

    rows = [NO_ROWS] * len(runs)
    long = [] if all_opens else [piece for piece in pieces if _is_long(piece, pieces, runs)]
    for piece in long:
        (leaf,) = piece.leaves
        rows[piece.run] = _copied(market, runs[piece.run], leaf, shape, raw)
    pieces = [piece for piece in pieces if piece not in long]
    writing = [shape.row, shape.absent, shape.between, all_opens]
    found: list[Any] = []
    if any(piece.stored for piece in pieces):
        found += fetch_all(STORED, [market.pk, raw, *writing, *_plan(pieces, runs, True)])
    if not all(piece.stored for piece in pieces):
        found += fetch_all(BUCKETS, [market.pk, raw, frame.seconds, *writing, *_plan(pieces, runs, False)])

    for number, count, opens, body in sorted(found):
        run = pieces[number - 1].run
        before = rows[run]
        if before.count:
            count, opens = before.count + count, [*before.opens, *(opens or ())]
            body = before.body + shape.between + body
        rows[run] = Rows(count, opens or (), body)
    return rows


def single_leaf(frame: Timeframe, run: Run, evidence: Evidence) -> Leaf | None:
    """Return the one stretch of stored rows that a run shows as they are; None if it is made of several, or of none."""
    leaves = list(islice(leaves_of(evidence, frame.base, run.start, run.stop), 2))
    return leaves[0] if len(leaves) == 1 and leaves[0].resolution == frame.seconds else None


def _is_long(piece: _Piece, pieces: Sequence[_Piece], runs: Sequence[Run]) -> bool:
    """Return whether a piece is a whole run of many rows, each of which is shown as it is stored."""
    leaf, run = piece.leaves[0], runs[piece.run]
    buckets = (leaf.stop - leaf.start) // (leaf.resolution * SECOND_US)
    alone = len(piece.leaves) == 1 and sum(other.run == piece.run for other in pieces) == 1
    return piece.stored and alone and run.source != PARTIAL and buckets >= COPY_BUCKETS


def _copied(market: Market, run: Run, leaf: Leaf, shape: Shape, raw: bool) -> Rows:
    """Return the rows of such a run: only the ends of its lines are replaced, which costs less than each cell."""
    text = b"".join(copied_rows(market, run, leaf, raw, shape.options)).decode().removesuffix("\n")
    if not text:
        return NO_ROWS
    count = text.count("\n") + 1
    return Rows(count, (), f"{shape.start}{text.replace(chr(10), shape.end + shape.between + shape.start)}{shape.end}")


def copied_rows(market: Market, run: Run, leaf: Leaf, raw: bool = False, options: str = CSV.options) -> Iterator[bytes]:
    """Yield the rows of a run that is a single leaf as lines of csv, in blocks, as the server sends them."""
    query = _COPY.format(
        prices=_OURS if raw or not leaf.from_provider else _SERVED,
        trades="null" if leaf.from_provider else "c.trades",
        source=run.source,
        closed="true" if run.closed else "false",
        table="provider_candle" if leaf.from_provider else "candle",
        traded="" if leaf.from_provider else " and c.trades > 0",
        options=options,
    )
    return copy_out(query, [market.pk, leaf.resolution, leaf.start, leaf.stop])


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
