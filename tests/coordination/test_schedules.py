"""Schedules are rows: made once, then the administrator's."""

from __future__ import annotations

import pytest
from celery import current_app
from django.conf import settings
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from coordination.schedules import SCHEDULES, ensure_schedules


@pytest.mark.django_db
def test_every_schedule_is_made_once_with_its_task_and_its_time() -> None:
    for _ in range(2):
        ensure_schedules()
    made = {task.task: (str(task.interval or task.crontab), task.expire_seconds) for task in PeriodicTask.objects.all()}
    assert PeriodicTask.objects.count() == len(SCHEDULES)
    assert made["datastore.scan_gaps"] == ("every 10 seconds", 10)
    assert made["coordination.refresh"][0].startswith("12 * * * *")
    assert made["datastore.verify"] == ("40 3 * * * (m/h/dM/MY/d) UTC", 3600)
    assert IntervalSchedule.objects.count() == 3 and CrontabSchedule.objects.count() == 7


@pytest.mark.django_db
def test_what_an_administrator_changed_stays() -> None:
    ensure_schedules()
    PeriodicTask.objects.filter(name="Gap scan").update(enabled=False)
    every, _ = IntervalSchedule.objects.get_or_create(every=5, period="minutes")
    PeriodicTask.objects.filter(name="Actor sweep").update(interval=every)
    ensure_schedules()
    assert PeriodicTask.objects.get(name="Gap scan").enabled is False
    assert PeriodicTask.objects.get(name="Actor sweep").interval == every


def test_every_scheduled_task_is_one_that_the_worker_knows() -> None:
    current_app.loader.import_default_modules()
    assert {schedule.task for schedule in SCHEDULES} | {"ingestion.fetch"} <= set(current_app.tasks)


def test_schedules_find_a_thread_while_every_producer_fetches() -> None:
    assert settings.CELERY_WORKER_CONCURRENCY > settings.PRODUCER_POOL
