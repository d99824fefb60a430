"""Which whole buckets of a range one page holds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from datastore.api.errors import BadParameters
from datastore.timeframes.timeframe import Timeframe


@dataclass(frozen=True, slots=True)
class Window:
    """Whole buckets [start, stop) of one page, and the end of all that was asked for.

    open_end: the end of the bucket that holds now.
    has_more: whether a further page begins at stop. None does behind the open bucket, however late the end is.
    """

    start: datetime
    stop: datetime
    end: datetime
    open_end: datetime
    has_more: bool


def window(timeframe: Timeframe, start: datetime, stop: datetime | None, limit: int, now: datetime) -> Window:
    """Return the first page of at most limit buckets, from the one that holds start.

    Without stop the range ends with the bucket that holds now. Raises BadParameters if it would be empty.
    """
    open_end = timeframe.after(timeframe.floor(now))
    end = timeframe.ceil(stop) if stop else open_end
    start = timeframe.floor(start)
    if start >= end:
        raise BadParameters({"from": ["lies in the future; to ask for time to come, give a to after it."]})
    page_end = min(timeframe.after(start, limit), end)
    return Window(start, page_end, end, open_end, has_more=page_end < min(end, open_end))
