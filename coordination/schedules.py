"""The table of schedules. They live in django-celery-beat's tables, where the admin changes, stops and starts them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask


@dataclass(frozen=True, slots=True)
class Nightly:
    """A time of day, UTC."""

    hour: int
    minute: int


@dataclass(frozen=True, slots=True)
class Hourly:
    """A minute of every hour."""

    minute: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """A task and when it is due."""

    name: str
    task: str
    due: timedelta | Hourly | Nightly
    why: str


SCHEDULES = (
    Schedule("Gap scan", "datastore.scan_gaps", timedelta(seconds=10), "Finds holes and has them fetched."),
    # Hours and days are final at the provider 11 minutes after their end.
    Schedule("Refresh of hours and days", "coordination.refresh", Hourly(12), "Fetches what ended and is final."),
    Schedule("Reconciliation", "ingestion.reconcile", Hourly(27), "Holds closed minutes against the provider's."),
    Schedule("Pair list", "ingestion.pairs", Nightly(3, 0), "Reads which markets the provider has."),
    Schedule("Actor sweep", "coordination.sweep", timedelta(minutes=1), "Frees rows of dead owners."),
    Schedule("Log retention", "coordination.trim", Nightly(3, 10), "Deletes old transitions and old fetch requests."),
    Schedule("Trade retention", "datastore.retention", Nightly(3, 20), "Deletes trades beyond TICK_RETENTION_DAYS."),
    Schedule("Nightly verify", "datastore.verify", Nightly(3, 40), "Makes the last days' candles anew and compares."),
    # These two do nothing on plain PostgreSQL.
    Schedule("Aggregates", "datastore.aggregate", timedelta(minutes=5), "Refreshes TimescaleDB's aggregates."),
    Schedule("Columnstore", "datastore.pack", Nightly(4, 10), "Packs trades of days that are over (TimescaleDB)."),
)


def ensure_schedules() -> None:
    """Make the schedules that are missing; one that is there stays as its administrator left it."""
    for schedule in SCHEDULES:
        if not PeriodicTask.objects.filter(name=schedule.name).exists():
            _make(schedule)


def _make(schedule: Schedule) -> None:
    values = {"task": schedule.task, "description": schedule.why, "expire_seconds": _expiry(schedule.due)}
    PeriodicTask.objects.get_or_create(name=schedule.name, defaults={**values, **_when(schedule.due)})


def _expiry(due: timedelta | Hourly | Nightly) -> int:
    """Return after how many seconds in the queue a run is not worth doing: the next is due, or the hour is over."""
    return int(due.total_seconds()) if isinstance(due, timedelta) else 3600


def _when(due: timedelta | Hourly | Nightly) -> dict[str, Any]:
    if isinstance(due, timedelta):
        every, _ = IntervalSchedule.objects.get_or_create(every=int(due.total_seconds()), period="seconds")
        return {"interval": every}
    hour = str(due.hour) if isinstance(due, Nightly) else "*"
    crontab, _ = CrontabSchedule.objects.get_or_create(
        minute=str(due.minute), hour=hour, day_of_week="*", day_of_month="*", month_of_year="*", timezone="UTC"
    )
    return {"crontab": crontab}
