"""A position in a series' history: (series, version, watermark). Every answer of GET candles carries one. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from datastore.api.responses.json_response import pack, unpack
from datastore.models.coverage import CHANGE_RETENTION_VERSIONS

MAX_CHANGES_BEHIND = CHANGE_RETENTION_VERSIONS  # versions; a reader further behind gets a snapshot

# Why a cursor cannot be continued, as shown to the reader.
UNREADABLE_CURSOR = "the cursor is not one that this server gave out"
OTHER_HISTORY = "the cursor is of another history of this market"
CURSOR_AHEAD = "the cursor is ahead of what is stored here"
TOO_FAR_BEHIND = f"the cursor is more than {MAX_CHANGES_BEHIND:,} changes behind"
FEED_WAS_UNKNOWN = "nothing was known of the feed when the cursor was given out"


@dataclass(frozen=True, slots=True)
class Cursor:
    """Everything up to this version was shown, and up to this watermark (ms of the provider's clock) as closed."""

    series: str
    version: int
    watermark: int | None

    @property
    def text(self) -> str:
        """Return the opaque text that a reader sends back."""
        return pack(self.series, self.version, self.watermark)


@dataclass(frozen=True, slots=True, order=True)
class ReadTime:
    """When a market was read, in microseconds; of two reads, the later one is not smaller in any part."""

    version: int
    watermark: int
    now: int


def read_cursor(text: str) -> Cursor | None:
    """Return the cursor in a reader's text, None if it is not one of this server's."""
    try:
        return Cursor(*unpack(text, tuple[str, int, int | None]))
    except ValueError:
        return None


def refusal(cursor: Cursor, head: Cursor) -> str | None:
    """Return why a reader cannot continue from a cursor on a market that is at head; None if it can."""
    if cursor.series != head.series:
        return OTHER_HISTORY
    known, newest = cursor.watermark, head.watermark
    # A watermark goes back only where a claim is taken back, and that raises the version.
    went_back = known is not None and (newest is None or known > newest)
    if cursor.version > head.version or (went_back and cursor.version == head.version):
        return CURSOR_AHEAD
    if head.version - cursor.version > MAX_CHANGES_BEHIND:
        return TOO_FAR_BEHIND
    return FEED_WAS_UNKNOWN if known is None and newest is not None else None
