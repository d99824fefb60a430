"""The web process: `python -m config.supervision.web`, granian with our settings and a pool of connections.

Its worker is forked from it, so that both share the memory of what this process, or its own starter, has loaded.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

from granian.constants import Interfaces
from granian.http import HTTP1Settings, HTTP2Settings
from granian.log import LogLevels
from granian.server import MPServer

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

# A reader that stays connected and takes nothing would keep its thread for good: no setting of granian bounds a send.
MAX_UNREAD_MS = 60_000
GRANIAN_LOGS = Path(__file__).parents[1] / "granian_logs.json"


class WebServer(MPServer):
    """A granian whose readers must read, and which takes one stop signal.

    A second one would interrupt the handler, which would wait for itself.
    """

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        """Stop."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        super().signal_handler_interrupt(*args, **kwargs)  # type: ignore[no-untyped-call]

    def _init_shared_socket(self) -> None:
        """Let the kernel end a connection whose reader takes nothing; the connections have it from the listener.

        Linux counts a window that stays closed as data that is not acknowledged; other systems have no such bound.
        """
        super()._init_shared_socket()  # type: ignore[no-untyped-call]
        if sys.platform != "linux":
            return
        # On Linux granian lets each worker bind an address of its own; we have one worker, which takes this listener.
        own: Any = self
        own._shd = own._ssp.build()
        own._sfd, own._ssp = own._shd.get_fd(), None
        own._sso = socket.socket(fileno=os.dup(own._sfd))
        own._sso.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, MAX_UNREAD_MS)


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
        blocking_threads=settings.WEB_THREADS,
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

    from actor_runtime.collection import leave_out_what_is_loaded
    from config.database_settings import share_connections
    from datastore.series.columnar_use import load_if_used

    application = get_internal_wsgi_application()
    leave_out_what_is_loaded()
    size = settings.DATABASE_POOL or settings.WEB_THREADS
    share_connections(connections.settings["default"], size)
    Thread(target=load_if_used, name="load-columnar", daemon=True).start()  # the first requests need not wait for it
    return application


if __name__ == "__main__":
    main()
