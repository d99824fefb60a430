"""The live Producer's clock: the provider's time by its stamps, and where all who read it find it.

Times are microseconds; local moments are seconds of this machine's count since its boot, which no one sets.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.conf import settings

from datastore.reference import provider_clock as stored_clock
from datastore.timeframes.intervals import SECOND_US, micros_of
from ingestion.live.clock_estimate import ClockEstimate, boot_seconds

# Of STALE_AFTER: how far a stamp may be from the estimate before it is doubted. 9 s at the provider's own speed; a
# simulator at n times that speed runs with n times the STALE_AFTER, and its time moves on so much between two stamps.
MAX_JUMP_SHARE = 0.1


def micros_at(local: float) -> int:
    """Return a local moment in microseconds."""
    return round(local * SECOND_US)


class Timekeeper:
    """Keep the provider's clock, and save it as an offset from the database's steady time."""

    def __init__(self, monotonic: Callable[[], float] = boot_seconds) -> None:
        self.monotonic = monotonic
        self.provider = ClockEstimate(round(settings.STALE_AFTER * MAX_JUMP_SHARE * SECOND_US))
        self._steady_lead = 0  # the database's steady time - local
        self._saved_offset: int | None = None

    def local_now(self) -> int:
        """Return the local moment."""
        return micros_at(self.monotonic())

    def measure(self) -> None:
        """Compare the database's steady time with our count."""
        before = self.monotonic()
        steady = micros_of(stored_clock.keep_steady_time())
        self._steady_lead = steady - micros_at((before + self.monotonic()) / 2)

    def restore(self) -> None:
        """Continue from the saved offset at the first start; not if the database's clock may have been set since."""
        if self.provider.offset is None and stored_clock.is_steady():
            offset = stored_clock.stored_offset()
            if offset is not None:
                self.provider.resume(offset // timedelta(microseconds=1) + self._steady_lead)

    def save(self) -> None:
        """Save the provider's clock, once a second stamp has confirmed it."""
        if self.provider.confirmed and self.provider.offset is not None:
            self._saved_offset = self.provider.offset
            stored_clock.save_clock(timedelta(microseconds=self.provider.offset - self._steady_lead))

    def save_if_moved(self) -> None:
        """Save the provider's clock if it is new, or has moved by more than a second since it was last saved."""
        offset, saved = self.provider.offset, self._saved_offset
        if self.provider.confirmed and offset is not None and (saved is None or abs(offset - saved) > SECOND_US):
            self.save()
