"""The database's steady time in a process that needs it often, by its machine's count since boot."""

from __future__ import annotations

from datetime import datetime
from time import monotonic

from datastore.db.queries import fetch_value

MEASURE_EVERY_S = 60.0  # the two counts differ by less than a millisecond in that time


class SteadyClock:
    """Steady time in seconds, asked for once a minute."""

    def __init__(self) -> None:
        self._lead, self._measured_at = 0.0, float("-inf")

    @property
    def is_measured(self) -> bool:
        """Return whether it was ever measured."""
        return self._measured_at > float("-inf")

    @property
    def is_due(self) -> bool:
        """Return whether it must be measured before it is read."""
        return monotonic() - self._measured_at >= MEASURE_EVERY_S

    def measure(self) -> None:
        """Ask the database; raise DatabaseError."""
        began = monotonic()
        steady: datetime = fetch_value("select steady_now()")
        self._measured_at = monotonic()
        self._lead = steady.timestamp() - (began + self._measured_at) / 2

    def seconds(self) -> float:
        """Return steady time as it was last measured."""
        return monotonic() + self._lead


steady_clock = SteadyClock()
