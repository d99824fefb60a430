"""Up to when everything in a topic is stored.

A busy topic is never empty; still, all that was in it at some moment is stored once the group has passed the end that
the topic had then.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from streaming.broker import Progress


class GroupProgress:
    """For one topic that a group shares: remembers where its partitions once ended, until all of that is committed."""

    def __init__(self) -> None:
        self._ends: dict[str, int] = {}
        self._at: datetime | None = None

    def drained_until(self, progress: Mapping[str, Progress], at: datetime) -> datetime | None:
        """Return a time up to which everything is stored, None if no newer one is known.

        progress: how far the group was at `at`, a time of the database's clock, or later.
        """
        known = self._at if self._at and self._passed(progress) else None
        if known or self._at is None:
            self._ends, self._at = {name: partition.end for name, partition in progress.items()}, at
            if self._passed(progress):
                known, self._at = at, None
        return known

    def _passed(self, progress: Mapping[str, Progress]) -> bool:
        return all(name in progress and progress[name].done >= end for name, end in self._ends.items())


class DrainTracker:
    """For topics that this process alone reads: counts down the records that were unread at the last question."""

    def __init__(self) -> None:
        self._left: dict[str, int] = {}
        self._asked_at: datetime | None = None

    def committed(self, topic: str, records: int) -> None:
        """Count records that are stored and committed."""
        if topic in self._left:
            self._left[topic] -= records

    def drained_until(self, lags: Mapping[str, int], at: datetime) -> dict[str, datetime]:
        """Return for each topic a time up to which everything is stored; without those for which none is known.

        lags: the records not committed at `at`, a time of the database's clock, or later.
        """
        before, drained = self._asked_at, dict[str, datetime]()
        if before is not None:
            drained |= {topic: before for topic, left in self._left.items() if left <= 0}
        drained |= {topic: at for topic, lag in lags.items() if not lag}
        self._left = {topic: lag for topic, lag in lags.items() if lag}
        self._asked_at = at
        return drained
