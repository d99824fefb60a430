"""The table of schedules. They are rows of django-celery-beat, where the admin site changes, stops and starts them."""

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
    Schedule("Gap scan", "datastore.scan_gaps", timedelta(seconds=10), "Finds gaps and has them fetched."),
    # Hours and days are final at the provider 11 minutes after their end.
    Schedule("Refresh of hours and days", "coordination.refresh", Hourly(12), "Fetches what ended and is final."),
    Schedule("Reconciliation", "ingestion.reconcile", Hourly(27), "Compares closed minutes with the provider's."),
    Schedule("Pair list", "ingestion.pairs", Nightly(3, 0), "Reads which markets the provider has."),
    Schedule("Actor sweep", "coordination.sweep", timedelta(minutes=1), "Frees rows of dead owners."),
    Schedule("Log retention", "coordination.trim", Nightly(3, 10), "Deletes old transitions and old fetch requests."),
    Schedule("Trade retention", "datastore.retention", Nightly(3, 20), "Deletes trades beyond TICK_RETENTION_DAYS."),
    Schedule("Nightly verify", "datastore.verify", Nightly(3, 40), "Recomputes the last days' candles and compares."),
    # Nothing on plain PostgreSQL.
    Schedule("Aggregates", "datastore.aggregate", timedelta(minutes=5), "Refreshes TimescaleDB's aggregates."),
    Schedule("Columnstore", "datastore.pack", Nightly(4, 10), "Packs past trades, or their index."),
)


def ensure_schedules() -> None:
    """Make the schedules that are missing; an existing one stays as its administrator left it."""
    for schedule in SCHEDULES:
        if PeriodicTask.objects.filter(name=schedule.name).exists():
            continue
        # Seconds in the queue after which a run is pointless: the next one is due, or the hour is over.
        expiry = int(schedule.due.total_seconds()) if isinstance(schedule.due, timedelta) else 3600
        values = {"task": schedule.task, "description": schedule.why, "expire_seconds": expiry}
        due, when = schedule.due, dict[str, Any]()
        if isinstance(due, timedelta):
            when["interval"], _ = IntervalSchedule.objects.get_or_create(
                every=int(due.total_seconds()), period="seconds"
            )
        else:
            hour = str(due.hour) if isinstance(due, Nightly) else "*"
            when["crontab"], _ = CrontabSchedule.objects.get_or_create(
                minute=str(due.minute), hour=hour, day_of_week="*", day_of_month="*", month_of_year="*", timezone="UTC"
            )
        PeriodicTask.objects.get_or_create(name=schedule.name, defaults={**values, **when})
