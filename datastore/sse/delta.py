"""What a reader at one cursor must be told to stand at a later one, and in which order. Pure.

1. Version by version: its candles, ascending, then its holes. A candle that changed with several versions comes once,
   as it is now, with the last of them. Only the last event of a version carries an id, so that a reader who loses the
   connection inside a version gets all of it again.
2. Candles that only time has changed: those that the watermark has passed are closed now. They carry no id.
3. The watermark, with the id of the whole, where it or a version has moved and no event before said so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from datastore.sse.cursor import Cursor, ReadTime


@dataclass(frozen=True, slots=True)
class Row:
    """A candle as it is now: its open time in ms, its JSON text; version: with which it changed, None: only by time."""

    open: int
    text: str
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of the certificate in ms that is or was a hole, as JSON text."""

    start: int
    stop: int
    text: str
    version: int


@dataclass(frozen=True, slots=True)
class Delta:
    """All that changed between two places; rows hold an open time once each."""

    since: Cursor
    upto: Cursor
    read_at: ReadTime  # when it was read
    rows: Sequence[Row] = ()
    gaps: Sequence[Gap] = ()

    def without(self, shown: dict[int, str]) -> Delta:
        """Return the delta for readers to whom these rows, by open time, were shown just as they are."""
        return replace(self, rows=[row for row in self.rows if shown.get(row.open) != row.text])


@dataclass(frozen=True, slots=True)
class Event:
    """One event; what: its Row, its Hole, or the cursor whose watermark it tells."""

    what: Row | Gap | Cursor
    id: Cursor | None = None


@dataclass(slots=True)
class _Group:
    """What one version has changed."""

    rows: list[Row] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)


def events_of(delta: Delta) -> list[Event]:
    """Return the events of a delta in their order."""
    told = [*_versions(delta), *(Event(row) for row in _ascending(delta.rows) if row.version is None)]
    last = next((event.id for event in reversed(told) if event.id), delta.since)
    if last != delta.upto:
        told.append(Event(delta.upto, delta.upto))
    return told


def _versions(delta: Delta) -> Iterator[Event]:
    for version, group in _groups(delta).items():
        told: list[Row | Gap] = [*_ascending(group.rows), *sorted(group.gaps, key=lambda hole: hole.start)]
        *others, last = told
        yield from (Event(one) for one in others)
        # The watermark stays the old one until what it has passed was told.
        yield Event(last, replace(delta.since, version=version))


def _groups(delta: Delta) -> dict[int, _Group]:
    groups: dict[int, _Group] = {}
    for version in sorted({row.version for row in delta.rows if row.version} | {hole.version for hole in delta.gaps}):
        groups[version] = _Group()
    for row in delta.rows:
        if row.version is not None:
            groups[row.version].rows.append(row)
    for hole in delta.gaps:
        groups[hole.version].gaps.append(hole)
    return groups


def _ascending(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: row.open)


def merge_near(stretches: Iterable[tuple[int, int]], near: int) -> list[tuple[int, int]]:
    """Return few stretches that hold all of these; those at most `near` apart become one."""
    found: list[tuple[int, int]] = []
    for start, stop in sorted(stretches):
        if found and start - found[-1][1] <= near:
            found[-1] = (found[-1][0], max(found[-1][1], stop))
        else:
            found.append((start, stop))
    return found
