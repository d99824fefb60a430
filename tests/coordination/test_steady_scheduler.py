"""Schedules go on when the machine's clock is set back, each after its own interval at most."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from config.celery import app
from coordination.schedules import SCHEDULES, ensure_schedules
from coordination.steady_scheduler import SteadyScheduler

INTERVALS = {each.name: each.due.total_seconds() for each in SCHEDULES if isinstance(each.due, timedelta)}


@pytest.fixture
def scheduler(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> SteadyScheduler:
    """Return beat's scheduler; what it sends goes nowhere."""
    ensure_schedules()
    monkeypatch.setattr(SteadyScheduler, "apply_entry", lambda *_args, **_kwargs: None)
    made: SteadyScheduler = SteadyScheduler(app=app, lazy=True)
    made.setup_schedule()
    return made


def waits(scheduler: Any) -> dict[str, float]:
    """Return in how many seconds each schedule is looked at again."""
    return {event.entry.name: event.time - time.time() for event in scheduler._heap}


@pytest.mark.parametrize("hours", [1, 26])
def test_a_clock_that_is_set_back_delays_no_schedule_by_more_than_its_interval(scheduler: Any, hours: int) -> None:
    scheduler.tick()
    known = set(waits(scheduler))  # a nightly schedule is loaded only within hours of its time
    assert known >= set(INTERVALS)
    # As if all this had happened by a clock that was ahead.
    ahead = timedelta(hours=hours)
    for entry in scheduler.schedule.values():
        entry.last_run_at += ahead
    scheduler._heap = [event._replace(time=event.time + ahead.total_seconds()) for event in scheduler._heap]
    scheduler._lead += ahead.total_seconds()
    scheduler.tick()
    found = waits(scheduler)
    assert set(found) >= known
    assert all(found[name] <= interval + 1 for name, interval in INTERVALS.items())
    assert all(wait <= 86_400 for wait in found.values())


def test_a_run_that_was_saved_by_a_clock_ahead_delays_nothing_after_a_restart(scheduler: Any) -> None:
    PeriodicTask.objects.update(last_run_at=timezone.now() + timedelta(days=2))
    restarted: Any = SteadyScheduler(app=app, lazy=True)
    restarted.setup_schedule()
    restarted.tick()
    assert all(waits(restarted)[name] <= interval + 1 for name, interval in INTERVALS.items())
