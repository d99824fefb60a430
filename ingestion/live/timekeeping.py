"""The live Producer's clocks: the database's beside our own, and the provider's told from its stamps and stored."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

from datastore.models import ProviderClock
from datastore.reference import provider_clock as stored_clock
from datastore.timeframes.intervals import micros_of, moment
from ingestion.live.clock_estimate import SECOND, ClockEstimate


class Timekeeper:
    """Tell the database's time of any local moment, and keep the provider's clock for all who read it."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.monotonic = monotonic
        self.provider = ClockEstimate()
        self._ahead = 0  # database clock - local monotonic, microseconds
        self._saved_offset = 0

    def database_time(self, local: float | None = None) -> int:
        """Return the database's time, microseconds, at a local moment; now where none is given."""
        return round((self.monotonic() if local is None else local) * SECOND) + self._ahead

    def measure(self) -> None:
        """Compare the database's clock with ours."""
        before = self.monotonic()
        database = micros_of(stored_clock.database_now())
        middle = (before + self.monotonic()) / 2
        self._ahead = database - round(middle * SECOND)

    def recall(self) -> None:
        """Go on from the stored clock at the first start, so that time does not go back."""
        stored = ProviderClock.objects.exclude(clock_offset=None).first()
        if stored and stored.clock_offset is not None and stored.floor and not self.provider.floor:
            offset = round(stored.clock_offset / timedelta(microseconds=1))
            self.provider = ClockEstimate(offset, micros_of(stored.floor))

    def save(self) -> None:
        """Store the provider's clock, once it was measured."""
        if self.provider.measured:
            self._saved_offset = self.provider.offset
            stored_clock.save_clock(timedelta(microseconds=self.provider.offset), moment(self.provider.floor))

    def save_if_moved(self) -> None:
        """Store it now where it moved by more than a second."""
        if abs(self.provider.offset - self._saved_offset) > SECOND:
            self.save()
