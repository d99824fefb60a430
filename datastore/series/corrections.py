"""Which candles of a series changed after they had been closed as whole. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from datastore.coverage.certificate import LIVE, MERGED, PROVIDER, Run
from datastore.coverage.facts import StoredCorrection
from datastore.coverage.segments import MICROS_PER_MS
from datastore.timeframes.intervals import micros_of, moment
from datastore.timeframes.timeframe import Timeframe
from streaming.records import Micros

OF_TRADES, OF_PROVIDER = frozenset({LIVE, MERGED}), frozenset({PROVIDER, MERGED})


class Corrected(NamedTuple):
    """A bucket, by its start in milliseconds, and how often it changed since it was closed."""

    time: int
    changes: int


def corrected(runs: Sequence[Run], frame: Timeframe, stored: Iterable[StoredCorrection]) -> list[Corrected]:
    """Return the buckets of these runs that were corrected, ascending.

    Only stored buckets that the series shows count, ours or the provider's.
    """
    changes: dict[Micros, int] = {}
    for one in stored:
        shown = OF_PROVIDER if one.from_provider else OF_TRADES
        if any(run.start <= one.start < run.stop and run.source in shown for run in runs):
            start = micros_of(frame.floor(moment(one.start)))
            changes[start] = changes.get(start, 0) + one.changes
    return [Corrected(start // MICROS_PER_MS, count) for start, count in sorted(changes.items())]
