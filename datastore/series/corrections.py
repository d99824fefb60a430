"""Which candles of a series changed after they had been closed as whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from datastore.coverage.certificate import LIVE, MERGED, PROVIDER, Run
from datastore.coverage.segments import MICROS_PER_MS
from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement
from datastore.models import Market
from datastore.timeframes.intervals import micros_of, moment
from datastore.timeframes.timeframe import Timeframe
from streaming.records import Micros

OF_TRADES, OF_PROVIDER = frozenset({LIVE, MERGED}), frozenset({PROVIDER, MERGED})


class Corrected(NamedTuple):
    """A bucket, by its start in milliseconds, and how often it changed since it was closed."""

    time: int
    changes: int


class StoredCorrection(NamedTuple):
    """A stored bucket that changed after it was final."""

    start: Micros
    changes: int
    from_provider: bool


def corrected(market: Market, frame: Timeframe, runs: Sequence[Run]) -> list[Corrected]:
    """Return the buckets of these runs that were corrected, ascending. Raises DatabaseError."""
    values = {
        "market": market.pk,
        "resolution": frame.base,
        "start": moment(runs[0].start),
        "stop": moment(runs[-1].stop),
    }
    rows = fetch_all(statement("api", "corrected"), values)
    return corrected_of(runs, frame, (StoredCorrection(*row) for row in rows)) if rows else []


def corrected_of(runs: Sequence[Run], frame: Timeframe, stored: Iterable[StoredCorrection]) -> list[Corrected]:
    """Return the same of stored buckets: only those that the series shows count, ours or the provider's. Pure."""
    changes: dict[Micros, int] = {}
    for one in stored:
        shown = OF_PROVIDER if one.from_provider else OF_TRADES
        if any(run.start <= one.start < run.stop and run.source in shown for run in runs):
            start = micros_of(frame.floor(moment(one.start)))
            changes[start] = changes.get(start, 0) + one.changes
    return [Corrected(start // MICROS_PER_MS, count) for start, count in sorted(changes.items())]
