"""A place in a series' history: (series, version, watermark). Every answer of GET candles hands one out. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from datastore.api.responses.json_response import pack, unpack
from datastore.models.coverage import CHANGE_RETENTION_VERSIONS

MOST = CHANGE_RETENTION_VERSIONS  # changes: who is further behind starts afresh
NOT_OURS, FOREIGN = "the cursor is none that was given out here", "the cursor is of another history of this market"
AHEAD = "the cursor is ahead of what is stored here"
BEHIND = f"the cursor is more than {MOST:,} changes behind"
UNKNOWN_THEN = "nothing was known of the feed when the cursor was given out"


@dataclass(frozen=True, slots=True)
class Cursor:
    """All up to this version was shown, and up to this watermark (ms of the provider's clock) as closed."""

    series: str
    version: int
    watermark: int | None

    @property
    def text(self) -> str:
        """Return the opaque text that a reader hands back."""
        return pack(self.series, self.version, self.watermark)


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """When a snapshot of a market was taken: of two, the later is in no part the lesser. Times in microseconds."""

    version: int
    watermark: int
    now: int


def read_cursor(text: str) -> Cursor | None:
    """Return what a reader's cursor says, None where it is none of ours."""
    try:
        return Cursor(*unpack(text, tuple[str, int, int | None]))
    except ValueError:
        return None


def refusal(cursor: Cursor, head: Cursor) -> str | None:
    """Return why changes since a cursor cannot be told to a reader of a market that stands at head, None: they can."""
    if cursor.series != head.series:
        return FOREIGN
    if cursor.version > head.version or _ahead(cursor.watermark, head.watermark):
        return AHEAD
    if head.version - cursor.version > MOST:
        return BEHIND
    return UNKNOWN_THEN if cursor.watermark is None and head.watermark is not None else None


def _ahead(known: int | None, head: int | None) -> bool:
    return known is not None and (head is None or known > head)
