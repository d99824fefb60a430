"""From what was asked to whole buckets: where the answer begins, where it ends, where the next page begins."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from datastore.api.errors import BadParameters
from datastore.api.instants import EARLIEST
from datastore.api.params import DEFAULT_ROWS, MAX_ROWS, SeriesQuestion
from datastore.timeframes import TIMEFRAMES


@dataclass(frozen=True, slots=True)
class Window:
    """Whole buckets [start, stop) of one page, and the end of all that was asked for."""

    start: datetime
    stop: datetime
    end: datetime

    @property
    def has_more(self) -> bool:
        """Say whether a further page begins at stop."""
        return self.stop < self.end


def window(question: SeriesQuestion, now: datetime) -> Window:
    """Return the page's buckets: up to the one that holds now where no end is asked for.

    Without a start, limit buckets back from the end; with one, limit (at most MAX_ROWS) buckets on from its bucket.
    """
    timeframe = TIMEFRAMES[question.timeframe]
    end = timeframe.ceil(question.stop) if question.stop else timeframe.after(timeframe.floor(now))
    if question.start is None:
        start = timeframe.after(end, -(question.limit or DEFAULT_ROWS))
        return Window(max(start, timeframe.floor(EARLIEST)), end, end)
    start = timeframe.floor(question.start)
    if start >= end:
        raise BadParameters({"from": ["lies in the future; give a to behind it to ask for time to come."]})
    return Window(start, min(timeframe.after(start, question.limit or MAX_ROWS), end), end)
