"""Celery's settings that nobody chooses: config/settings.py takes all of them."""

from __future__ import annotations

CELERY_TASK_DEFAULT_QUEUE = "candlekeep"
CELERY_TASK_IGNORE_RESULT = True  # a job's result is in its rows
CELERY_TASK_STORE_ERRORS_EVEN_IF_IGNORED = False
CELERY_BEAT_SCHEDULER = "coordination.steady_scheduler:SteadyScheduler"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a broker that is down comes back: never give up
# A sender of tasks has its own delays for a broker that is down: kombu tries twice at once, then gives up.
_RETRIES = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.1}
_TIMEOUTS = {"socket_connect_timeout": 2, "socket_timeout": 5, "socket_keepalive": True}
CELERY_BROKER_TRANSPORT_OPTIONS = {**_TIMEOUTS, **_RETRIES}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# Cancels only tasks that are acknowledged late; a fetch holds its request by a lease and goes on.
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False  # not needed: state is in the rows
