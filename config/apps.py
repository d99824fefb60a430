from __future__ import annotations

import structlog
from django.apps import AppConfig
from django.conf import settings

from config import logs

log = structlog.get_logger(__name__)


class ConfigConfig(AppConfig):
    """The commands, system checks and Celery app of the whole platform."""

    name = "config"

    def ready(self) -> None:
        """Import the checks and the Celery app, which registers them."""
        from config import celery, checks, kafka_checks  # noqa: F401

        if settings.LOG_FORMAT == "json":
            logs.log_uncaught_errors()
        else:
            logs.print_uncaught_errors()
        if settings.METRICS_REFUSAL:
            log.warning("metrics of this process are not shared", reason=settings.METRICS_REFUSAL)
