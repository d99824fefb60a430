"""Private servers for a benchmark run, with the platform's own settings, durability included."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

from config.supervision import embedded_servers
from config.supervision.servers import create_database, database_refusal, valkey_refusal
from tests.support.polling import until

START_TIMEOUT_S = 60.0


@contextmanager
def servers() -> Iterator[Path]:
    """Start PostgreSQL and Valkey in a temporary folder, point the settings at them, and stop them at the end."""
    home = Path(tempfile.mkdtemp(prefix="ck-bench-"))
    embedded_servers.prepare_postgres(home)
    port = embedded_servers.free_port()
    children: list[Popen[bytes]] = [
        embedded_servers.spawn(embedded_servers.postgres_command(home)),
        embedded_servers.spawn(embedded_servers.valkey_command(home, port)),
    ]
    try:
        until(
            "PostgreSQL answers",
            lambda: not database_refusal(embedded_servers.postgres_url(home, "postgres")),
            START_TIMEOUT_S,
        )
        until("Valkey answers", lambda: not valkey_refusal(embedded_servers.valkey_url(home, port)), START_TIMEOUT_S)
        create_database(home)
        os.environ.update(
            CANDLEKEEP_HOME=str(home),
            DATABASE_URL=embedded_servers.postgres_url(home),
            REDIS_URL=embedded_servers.valkey_url(home, port),
            DJANGO_SETTINGS_MODULE="config.settings",
            LOG_LEVEL="WARNING",
        )
        yield home
    finally:
        for child in children:
            child.send_signal(signal.SIGINT)
            child.wait(timeout=60)
        shutil.rmtree(home, ignore_errors=True)
