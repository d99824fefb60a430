"""What waits to be sent to one reader: the newest state of each candle, never an ever longer queue. Pure."""

from __future__ import annotations

from datastore.sse.cursor import Cursor, Moment
from datastore.sse.messages import Block, joined

MOST_WAITING = 5_000  # candles and holes: of a reader who is that far behind, nothing is kept but that he is


class Overflow(Exception):
    """More waits for this reader than is kept: he is to be shown all anew."""


class Backlog:
    """Blocks put in, in the order in which they were read; taken out whole by a quick reader, merged by a slow one."""

    def __init__(self) -> None:
        """Nothing waits."""
        self.merged = 0  # blocks that went out as part of another
        self._one: Block | None = None  # the usual case: one block, sent as it is
        self._rows: dict[int, tuple[Moment, bytes]] = {}
        self._holes: dict[tuple[int, int], tuple[Moment, bytes]] = {}
        self._upto: tuple[Moment, Cursor] | None = None

    def __bool__(self) -> bool:
        """Tell whether anything waits."""
        return self._upto is not None

    def put(self, block: Block) -> None:
        """Add a block; raise Overflow, with nothing left inside, where too much waits."""
        if self._upto is None:
            self._one = block
        else:
            if self._one is not None:
                self._spread(self._one)
                self._one = None
            self._spread(block)
            self.merged += 1
        self._upto = (block.moment, block.upto)
        if len(self._rows) + len(self._holes) > MOST_WAITING:
            self.clear()
            raise Overflow

    def take(self, known: Moment) -> tuple[Moment, bytes] | None:
        """Take out what is later than the moment that the reader knows; None where nothing is."""
        if self._upto is None:
            return None
        (moment, upto), one = self._upto, self._one
        rows, holes = sorted(self._rows.items()), list(self._holes.values())
        self.clear()
        if moment <= known:
            return None
        if one is not None:
            return moment, one.whole
        # What he was shown since it was put here need not be sent again.
        parts = [text for _, (at, text) in rows if at > known] + [text for at, text in holes if at > known]
        return moment, joined(parts, upto)

    def clear(self) -> None:
        """Forget what waits."""
        self._one = self._upto = None
        self._rows, self._holes = {}, {}

    def _spread(self, block: Block) -> None:
        for open_ms, text in block.rows.items():
            self._rows[open_ms] = (block.moment, text)
        for stretch, text in block.holes.items():
            self._holes.pop(stretch, None)  # to the end: what was said last stands last
            self._holes[stretch] = (block.moment, text)
