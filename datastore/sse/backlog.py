"""What waits to be sent to one reader: the newest state of each candle, never a growing queue. Pure."""

from __future__ import annotations

from datastore.sse.cursor import Cursor, ReadTime
from datastore.sse.messages import Block, with_watermark

MAX_WAITING_ITEMS = 5_000  # candles and gaps; a reader further behind than that gets a new snapshot instead


class Overflow(Exception):
    """More waits for this reader than is kept; it needs a new snapshot."""


class Backlog:
    """Blocks put in in the order in which they were read.

    A quick reader takes each block as it is; for a slow one the blocks are merged.
    """

    def __init__(self) -> None:
        """Start empty."""
        self.merged = 0  # blocks that went out as part of another
        self._one: Block | None = None  # the usual case: one block, sent as it is
        self._rows: dict[int, tuple[ReadTime, bytes]] = {}
        self._gaps: dict[tuple[int, int], tuple[ReadTime, bytes]] = {}
        self._upto: tuple[ReadTime, Cursor] | None = None

    def __bool__(self) -> bool:
        """Return whether anything waits."""
        return self._upto is not None

    def put(self, block: Block) -> None:
        """Add a block; raise Overflow and forget everything if too much waits."""
        if self._upto is None:
            self._one = block
        else:
            if self._one is not None:
                self._merge(self._one)
                self._one = None
            self._merge(block)
            self.merged += 1
        self._upto = (block.read_at, block.upto)

        if len(self._rows) + len(self._gaps) > MAX_WAITING_ITEMS:
            self.clear()
            raise Overflow

    def take(self, known: ReadTime) -> tuple[ReadTime, bytes] | None:
        """Take out what is newer than what the reader knows; return None if nothing is."""
        if self._upto is None:
            return None
        (read_at, upto), one = self._upto, self._one
        rows, gaps = sorted(self._rows.items()), list(self._gaps.values())
        self.clear()
        if read_at <= known:
            return None
        if one is not None:
            return read_at, one.whole
        # What the reader was shown after it was put here need not be sent again.
        parts = [text for _, (at, text) in rows if at > known] + [text for at, text in gaps if at > known]
        return read_at, with_watermark(parts, upto)

    def clear(self) -> None:
        """Forget what waits."""
        self._one = self._upto = None
        self._rows, self._gaps = {}, {}

    def _merge(self, block: Block) -> None:
        for open_ms, text in block.rows.items():
            self._rows[open_ms] = (block.read_at, text)
        for span, text in block.gaps.items():
            self._gaps.pop(span, None)  # move it to the end: the newest event is sent last
            self._gaps[span] = (block.read_at, text)
