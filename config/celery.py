"""The Celery app: jobs for the worker, schedules for beat. Its settings are those that begin with CELERY_."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("candlekeep")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.set_default()


@setup_logging.connect
def keep_our_logs(**kwargs: Any) -> None:
    """Leave the logs as Django's LOGGING set them up: a receiver is all that keeps Celery from its own."""
