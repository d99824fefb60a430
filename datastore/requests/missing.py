"""What a series lacks, and at which of the provider's resolutions it must be asked for. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from datastore.coverage.certificate import FINER, NO_TIME
from datastore.reference.provider import CACHE_AGE
from datastore.series.reader import Series
from datastore.timeframes.intervals import Interval, micros_of, moment, union
from datastore.timeframes.timeframe import BASE, BEGINNING, TIMEFRAMES, Timeframe


@dataclass(frozen=True, slots=True)
class MissingSpan:
    """A stretch of whole buckets [start, stop) of one resolution (seconds) that the provider may have."""

    resolution: int
    start: datetime
    stop: datetime


def missing_spans(series: Series, reach: datetime | None = None) -> list[MissingSpan]:
    """Return what the series lacks, empty where it is whole.

    With reach, a series that lacks anything lacks all that follows it up to there: one asking for a long range reads
    it page by page, and it is fetched at once.
    """
    frame = TIMEFRAMES[series.timeframe]
    # Before the provider's first stamp nothing is known to be a hole; its own answer tells then.
    lacking = (part for part in series.segments if part.incomplete or part.reason == NO_TIME)
    holes = [(micros_of(part.start), micros_of(part.stop)) for part in lacking]
    holes += _unfinished(series, frame)
    if holes and reach and reach > series.stop:
        holes.append((micros_of(series.stop), micros_of(reach)))
    return [
        lack
        for start, stop in union(holes)
        for lack in split(frame.base, moment(start), moment(stop), series.server_time)
    ]


def _unfinished(series: Series, frame: Timeframe) -> list[Interval]:
    """Return the buckets that are not over yet, or not final, and lack something of what is."""
    opens = [moment(row * 1000) for row in series.unfinished]
    return [(micros_of(start), micros_of(frame.after(start))) for start in opens]


def split(resolution: int, start: datetime, stop: datetime, now: datetime) -> Iterator[MissingSpan]:
    """Yield the buckets whose answer is final at the provider's time `now`, and the finer ones of those after them."""
    frame = BASE[resolution]
    final = frame.floor(now - CACHE_AGE[resolution])
    start = max(frame.floor(start), BEGINNING)  # the newest 10,000 weeks reach back behind what a provider understands
    if start < min(stop, final):
        yield MissingSpan(resolution, start, min(frame.ceil(stop), final))
    if resolution in FINER and max(start, final) < min(stop, now):
        yield from split(FINER[resolution], max(start, final), min(stop, now), now)
