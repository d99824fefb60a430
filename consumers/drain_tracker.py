"""Which topics were read to their end: a busy one is never empty, yet all that lay in it at some moment is stored."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime


class DrainTracker:
    """Counts down what lay in each topic at the last look."""

    def __init__(self) -> None:
        self._left: dict[str, int] = {}
        self._looked_at: datetime | None = None

    def committed(self, topic: str, records: int) -> None:
        """Count records that are stored and committed."""
        if topic in self._left:
            self._left[topic] -= records

    def look(self, lags: Mapping[str, int], at: datetime) -> dict[str, datetime]:
        """Return the topics of which all is stored that lay in them at some time, and that time.

        lags: what was not committed at `at`, a time of the database's clock, or later.
        """
        before, done = self._looked_at, dict[str, datetime]()
        if before is not None:
            done |= {topic: before for topic, left in self._left.items() if left <= 0}
        done |= {topic: at for topic, lag in lags.items() if not lag}
        self._left = {topic: lag for topic, lag in lags.items() if lag}
        self._looked_at = at
        return done
