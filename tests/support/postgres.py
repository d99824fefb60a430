"""A private PostgreSQL that a test may kill and start again."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection

from config.supervision import embedded_servers
from config.supervision.servers import database_refusal
from tests.support.polling import until


class Server:
    """A PostgreSQL that tests may kill."""

    def __init__(self, home: Path) -> None:
        self.home = home
        embedded_servers.prepare_postgres(home)
        self.child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.child = embedded_servers.spawn(embedded_servers.postgres_command(self.home, "fsync=off"))
        until("PostgreSQL answers", self._answers, 30)

    def _answers(self) -> bool:
        return database_refusal(embedded_servers.postgres_url(self.home, "postgres")) is None

    def stop(self) -> None:
        if self.child:
            self.child.send_signal(signal.SIGQUIT)  # at once: clients are cut off, recovery at the next start
            self.child.wait(timeout=20)
            self.child = None


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="ck-out-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def server(home: Path) -> Iterator[Server]:
    """Point Django's connection at a server of our own."""
    kept = dict(connection.settings_dict)
    connection.close()
    ours = Server(home)
    ours.start()
    connection.settings_dict.update(HOST=str(home / "postgres"), NAME="postgres", USER="postgres", PORT="")
    try:
        call_command("migrate", verbosity=0)
        call_command("flush", verbosity=0, interactive=False)
        yield ours
    finally:
        connection.close()
        connection.settings_dict.clear()
        connection.settings_dict.update(kept)
        ours.stop()
