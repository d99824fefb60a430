"""The web process: `python -m config.supervision.web`, granian with our settings and a pool of connections.

Its worker is forked from it, so that both share the memory of what this process, or its own starter, has loaded.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from granian.constants import Interfaces
from granian.http import HTTP1Settings, HTTP2Settings
from granian.log import LogLevels
from granian.server import MPServer

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

WEB_THREADS = 12  # a third of which may be sending long answers
GRANIAN_LOGS = Path(__file__).parents[1] / "granian_logs.json"


class WebServer(MPServer):
    """A granian that takes one stop signal: a second one would interrupt the handler, which would wait for itself."""

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        """Stop."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        super().signal_handler_interrupt(*args, **kwargs)  # type: ignore[no-untyped-call]


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    from django.conf import settings

    if sys.platform == "linux":
        multiprocessing.set_start_method("fork", force=True)  # Python 3.14 would start a worker that shares nothing
    WebServer(
        settings.WSGI_APPLICATION,
        address=settings.HOST,
        port=settings.PORT,
        interface=Interfaces.WSGI,
        blocking_threads=WEB_THREADS,
        websockets=False,
        http1_settings=HTTP1Settings(),
        http2_settings=HTTP2Settings(),
        log_level=LogLevels.error,
        log_dictconfig=json.loads(GRANIAN_LOGS.read_text()) if settings.LOG_FORMAT == "json" else None,
        respawn_failed_workers=True,
        workers_kill_timeout=5,
    ).serve(target_loader=pooled_application, wrap_loader=False)


def pooled_application() -> Callable[..., Any]:
    """Return the application of this worker, whose threads share a pool of connections."""
    from django.conf import settings
    from django.core.servers.basehttp import get_internal_wsgi_application
    from django.db import connections

    application = get_internal_wsgi_application()
    size = settings.DATABASE_POOL or WEB_THREADS
    options = connections.settings["default"]
    options["OPTIONS"]["pool"] = {"min_size": 1, "max_size": size, "timeout": 5}
    options["CONN_HEALTH_CHECKS"] = True
    return application


if __name__ == "__main__":
    main()
