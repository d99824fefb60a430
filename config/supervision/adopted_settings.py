"""Settings read again in a process that has loaded Django already, with another environment."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from contextlib import suppress

from celery import current_app
from django.conf import settings
from django.core.cache import caches
from django.db import connections
from django.utils.functional import empty


def adopt(env: Mapping[str, str]) -> None:
    """Be as if this process had been started in that environment; it must not have used a connection.

    What our modules keep of the settings when they are imported must be the same in both: no address is among it.
    """
    os.environ.clear()
    os.environ.update(env)
    importlib.reload(sys.modules["config.settings"])
    settings._wrapped = empty  # read at the next use
    connections.settings = connections.configure_settings(None)
    caches.settings = caches.configure_settings(None)  # as Django does in tests
    for handler in (connections, caches):
        for name in handler:
            with suppress(AttributeError):  # there is none in this thread
                del handler[name]
    current_app.config_from_object("django.conf:settings", namespace="CELERY")
