"""The live Producer's clock: the provider's time by its stamps, and where all who read it find it.

Times are microseconds; local moments are seconds of this machine's count since its boot, which no one sets.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime

from django.conf import settings

from datastore.coverage import wrong_claims
from datastore.reference import provider_clock as stored_clock
from datastore.timeframes.intervals import SECOND_US, micros_of, moment
from ingestion.live.clock_estimate import ClockEstimate, boot_seconds
from streaming.bounds import MAX_TIME_US, MIN_TIME_US

MAX_JUMP_S = 10.0  # of a stamp that is followed at once; less than GRACE, by which claims stay behind


def micros_at(local: float) -> int:
    """Return a local moment in microseconds."""
    return round(local * SECOND_US)


def read_date(text: str | None) -> int | None:
    """Return the time of an HTTP header Date in microseconds, None if there is none that can be read."""
    try:
        date = parsedate_to_datetime(text or "")
        micros = round(date.replace(tzinfo=date.tzinfo or UTC).timestamp()) * SECOND_US
    except (ValueError, OverflowError):
        return None
    return micros if MIN_TIME_US < micros < MAX_TIME_US else None


class Timekeeper:
    """Keep one provider's clock, and save it as an offset from the database's steady time."""

    def __init__(self, provider: str, monotonic: Callable[[], float] = boot_seconds) -> None:
        """Keep the clock of the provider of this name."""
        self.name, self.monotonic = provider, monotonic
        speed = max(1.0, settings.STALE_AFTER / settings.USUAL_STALE_AFTER)
        self.provider = ClockEstimate(round(min(max(settings.GRACE * 0.9, 1.0), MAX_JUMP_S) * SECOND_US), speed)
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
            saved = stored_clock.saved_clock(self.name)
            if saved is not None and saved.clock_offset is not None:
                certain = None if saved.certain_until is None else micros_of(saved.certain_until)
                self.provider.resume(saved.clock_offset // timedelta(microseconds=1) + self._steady_lead, certain)

    def save(self) -> None:
        """Save the provider's clock, once a second stamp has confirmed it."""
        if self.provider.confirmed and self.provider.offset is not None:
            self._saved_offset, certain = self.provider.offset, self.provider.certain_until
            offset = timedelta(microseconds=self.provider.offset - self._steady_lead)
            stored_clock.save_clock(self.name, offset, None if certain is None else moment(certain))

    def save_if_moved(self) -> None:
        """Save the provider's clock if it is new, or has moved by more than a second since it was last saved.

        If it went back, take back what was claimed meanwhile.
        """
        offset, saved = self.provider.offset, self._saved_offset
        if self.provider.confirmed and offset is not None and (saved is None or abs(offset - saved) > SECOND_US):
            self.save()
        if self.provider.went_back:
            certain = self.provider.certain_until
            wrong_claims.take_back_since(None if certain is None else moment(certain), self.name)
            self.provider.went_back, self.provider.certain_until = False, None
            self.save()
