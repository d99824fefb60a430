"""Which topics were read to their end: a busy one is never empty, yet all that lay in it at some moment is stored."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta


class Drains:
    """Counts down what lay in each topic at the last look."""

    def __init__(self) -> None:
        self._left: dict[str, int] = {}
        self._looked_at = 0.0

    def committed(self, topic: str, records: int) -> None:
        """Count records that are stored and committed."""
        if topic in self._left:
            self._left[topic] -= records

    def look(self, lags: Mapping[str, int], began: float) -> dict[str, timedelta]:
        """Return the topics of which all is stored that lay in them at some moment, and how long ago that was.

        lags: what was not committed at `began` (monotonic) or later.
        """
        now = time.monotonic()
        earlier, at_once = timedelta(seconds=now - self._looked_at), timedelta(seconds=now - began)
        done = {topic: earlier for topic, left in self._left.items() if left <= 0}
        done |= {topic: at_once for topic, lag in lags.items() if not lag}
        self._left = {topic: lag for topic, lag in lags.items() if lag}
        self._looked_at = began
        return done
