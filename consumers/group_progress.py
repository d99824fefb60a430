"""Up to when a topic is stored, whoever reads it: a busy one is never empty, yet what lay in it before is done."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from streaming.broker import Progress


class GroupProgress:
    """Remembers where the partitions ended once, until the group has committed all of that."""

    def __init__(self) -> None:
        self._ends: dict[str, int] = {}
        self._at: datetime | None = None

    def look(self, progress: Mapping[str, Progress], at: datetime) -> datetime | None:
        """Return a time up to which everything is stored, None where no newer one is known.

        progress: how far the group was at `at` or later.
        """
        known = self._at if self._at and self._passed(progress) else None
        if known or self._at is None:
            self._ends, self._at = {name: stand.end for name, stand in progress.items()}, at
            if self._passed(progress):
                known, self._at = at, None
        return known

    def _passed(self, progress: Mapping[str, Progress]) -> bool:
        return all(name in progress and progress[name].done >= end for name, end in self._ends.items())
