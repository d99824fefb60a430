"""Beat's schedule, by a clock that may be set.

Celery orders what is due by the time of day. Set back by an hour, nothing would be sent for an hour, or by 26 hours for
a day. So when the clock moves against the count since boot, the order is made again, and a run that lies in the future
counts as made now: each schedule waits its own interval, at most.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import structlog
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry

NOTICED_STEP_S = 1.0
log = structlog.get_logger(__name__)


class SteadyEntry(ModelEntry):  # type: ignore[misc]  # untyped
    """A schedule whose last run is not in the future."""

    last_run_at: datetime

    def is_due(self) -> Any:
        """Return whether it is due, and in how many seconds to look again."""
        self.last_run_at = min(self.last_run_at, self._default_now())
        return super().is_due()


class SteadyScheduler(DatabaseScheduler):  # type: ignore[misc]  # untyped
    """Notices that the clock was set."""

    Entry = SteadyEntry
    _lead: float | None = None  # the time of day - our count, seconds

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        """Send what is due; return the seconds until something may be."""
        lead = time.time() - time.monotonic()
        if self._lead is not None and abs(lead - self._lead) > NOTICED_STEP_S:
            log.warning("the clock was set", seconds=round(lead - self._lead))
            self._heap = None  # its times are of before
        self._lead = lead
        return super().tick(*args, **kwargs)
