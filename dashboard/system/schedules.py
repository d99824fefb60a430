"""The schedules with their last and next runs, as beat saved them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from actor_runtime.admin import span


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A schedule; next: None if it is off, or runs so often that only `every` says it."""

    name: str
    what: str
    every: str
    last: datetime | None
    next: datetime | None
    runs: int
    enabled: bool


def schedules() -> list[Scheduled]:
    """Return the schedules by name."""
    tasks = PeriodicTask.objects.select_related("interval", "crontab").order_by("name")
    return [_scheduled(task, timezone.now()) for task in tasks]


def _scheduled(task: Any, now: datetime) -> Scheduled:
    if task.interval:
        length = task.schedule.run_every
        every = f"every {span(length.total_seconds())}"
        due = task.last_run_at + length if task.last_run_at else None
        due = due if due and due > now else None
    else:
        every, due = _words(task.crontab), now + task.schedule.remaining_estimate(now) if task.crontab else None
    shown = due if task.enabled else None
    return Scheduled(task.name, task.description, every, task.last_run_at, shown, task.total_run_count, task.enabled)


def _words(crontab: Any) -> str:
    if crontab is None:
        return "unknown"
    if crontab.minute.isdecimal() and crontab.hour == "*":
        return f"each hour at minute {crontab.minute}"
    if crontab.minute.isdecimal() and crontab.hour.isdecimal():
        return f"each day at {int(crontab.hour):02d}:{int(crontab.minute):02d} UTC"
    return str(crontab)
