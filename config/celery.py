"""The Celery app: jobs for the worker, schedules for beat. Its settings begin with CELERY_."""

from __future__ import annotations

import logging
import os
import signal
import sys
import warnings
from typing import Any

from celery import Celery
from celery.apps import worker
from celery.exceptions import SecurityWarning
from celery.signals import beat_init, setup_logging, worker_init
from django.conf import settings
from django.db import connections
from kombu.transport.redis import Transport
from redis.exceptions import ResponseError

from actor_runtime.reset_policy import TRANSIENT_ERRORS
from config.database_settings import share_connections
from config.logs import formatter

# Celery warns when it runs as root, as in a container, because of pickle; our messages are JSON, which runs no code.
warnings.filterwarnings("ignore", category=SecurityWarning)
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

# A server that takes no writes (its disk or memory is full, it is read-only) says so in an answer. Celery ends a worker
# that gets one, and waits only for a server that is away; for us these are the same.
Transport.connection_errors = (*Transport.connection_errors, ResponseError)

BEAT_CONNECTION_S = 600  # then it is made again
MAX_IDLE_CONNECTION_S = 15.0  # of the worker: what it has beside one after a burst of fetches

app = Celery("candlekeep")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.set_default()


class FirstLineFilter(logging.Filter):
    """Cuts a message to its first line: a broker that is down needs no traceback through Celery."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Shorten the record and let it through."""
        record.msg, record.args = record.getMessage().partition("\n")[0], ()
        record.exc_info = record.exc_text = record.stack_info = None
        return True


class AwayFilter(FirstLineFilter):
    """Cuts what a task raised because a server is away; any other fault keeps its traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Shorten the record, if it is of such a task, and let it through."""
        raised = record.exc_info[1] if record.exc_info else None
        return super().filter(record) if isinstance(raised, TRANSIENT_ERRORS) else True


@beat_init.connect
def keep_connection(**kwargs: Any) -> None:
    """Let beat keep its connection, which it would make again at each look for a changed schedule."""
    if not settings.DATABASE_POOL:
        connections.settings["default"]["CONN_MAX_AGE"] = BEAT_CONNECTION_S


@beat_init.connect
def end_at_a_signal(**kwargs: Any) -> None:
    """Let a signal end beat at once: it stores its schedule on its way out.

    Celery's own handler stores it before. If the signal comes in the middle of a statement, it asks for the connection
    that the statement holds, for which it would wait for good.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit())


@worker_init.connect
def share_worker_connections(**kwargs: Any) -> None:
    """Let the worker's threads share connections, which stay open: Celery closes a thread's own after each task.

    A new session of the database has everything to plan again, and a gap scan plans for longer than it runs.
    """
    if not settings.DATABASE_POOL:
        size = settings.CELERY_WORKER_CONCURRENCY
        share_connections(connections.settings["default"], size, MAX_IDLE_CONNECTION_S)


@setup_logging.connect
def keep_django_logging(**kwargs: Any) -> None:
    """Keep Django's LOGGING: Celery sets up its own unless this signal has a receiver."""
    for name in ("celery.beat", "celery.worker.consumer.consumer", "django_celery_beat.schedulers"):
        logging.getLogger(name).addFilter(FirstLineFilter())
    for name in ("celery.app.trace", "celery.worker.request"):  # what a task raises, and what its end does
        logging.getLogger(name).addFilter(AwayFilter())
    if settings.LOG_FORMAT == "json":
        # The worker prints its messages about its own shutdown without any logger.
        worker.safe_say = write_line  # type: ignore[attr-defined]  # its stubs do not know it


def write_line(text: str, file: object = None) -> None:
    """Write a log line from a signal handler, where the logging module must not be called."""
    record = logging.LogRecord("celery.worker", logging.INFO, "", 0, text.strip(), None, None)
    os.write(2, formatter("json").format(record).encode() + b"\n")
