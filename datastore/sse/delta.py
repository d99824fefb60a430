"""Which events take a reader from one cursor to a later one, and in which order. Pure.

1. Version by version: its candles in ascending order, then its gaps. A candle that several versions changed is sent
   once, as it is now, with the last of them. Only the last event of a version has an id, so that a reader who loses
   the connection inside a version gets all of that version again.
2. Candles that only time has changed: the watermark has passed them, so they are closed now. They have no id.
3. The watermark, with the id of the whole delta, unless an earlier event already carried that id.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from datastore.sse.cursor import Cursor, ReadTime


@dataclass(frozen=True, slots=True)
class Row:
    """A candle as it is now: open time in ms, JSON text, and the version that changed it (None: only time did)."""

    open: int
    text: str
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """A span of the certificate in ms that is or was a gap, as JSON text."""

    start: int
    stop: int
    text: str
    version: int


@dataclass(frozen=True, slots=True)
class Delta:
    """Everything that changed between two cursors; rows hold each open time once."""

    since: Cursor
    upto: Cursor
    read_at: ReadTime
    rows: Sequence[Row] = ()
    gaps: Sequence[Gap] = ()

    def without(self, shown: dict[int, str]) -> Delta:
        """Return the delta for readers who were already shown these row texts, by open time in ms."""
        return replace(self, rows=[row for row in self.rows if shown.get(row.open) != row.text])


@dataclass(frozen=True, slots=True)
class Event:
    """One event; what: its Row, its Gap, or the cursor whose watermark it reports."""

    what: Row | Gap | Cursor
    id: Cursor | None = None


def events_of(delta: Delta) -> list[Event]:
    """Return the events of a delta in order."""
    events = [*_events_by_version(delta), *(Event(row) for row in _ascending(delta.rows) if row.version is None)]
    last = next((event.id for event in reversed(events) if event.id), delta.since)
    if last != delta.upto:
        events.append(Event(delta.upto, delta.upto))
    return events


def _events_by_version(delta: Delta) -> Iterator[Event]:
    rows: defaultdict[int, list[Row]] = defaultdict(list)
    gaps: defaultdict[int, list[Gap]] = defaultdict(list)
    for row in delta.rows:
        if row.version is not None:
            rows[row.version].append(row)
    for gap in delta.gaps:
        gaps[gap.version].append(gap)

    for version in sorted(rows.keys() | gaps.keys()):
        changed: list[Row | Gap] = [*_ascending(rows[version]), *sorted(gaps[version], key=lambda gap: gap.start)]
        *others, last = changed
        yield from (Event(one) for one in others)
        # The id keeps the old watermark until the candles that it has passed were sent.
        yield Event(last, replace(delta.since, version=version))


def _ascending(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: row.open)


def merge_near(spans: Iterable[tuple[int, int]], near: int) -> list[tuple[int, int]]:
    """Return a few spans that cover all of these; spans at most `near` apart become one."""
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        if merged and start - merged[-1][1] <= near:
            merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
        else:
            merged.append((start, stop))
    return merged
