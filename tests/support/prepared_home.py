"""A data folder as a first start leaves it: made once, and copied for each platform whose first start is not tested."""

from __future__ import annotations

import fcntl
import signal
import subprocess
from pathlib import Path

import pytest
from django.conf import global_settings
from django.core.management import call_command
from django.test import override_settings
from pytest_django.plugin import DjangoDbBlocker

from config.secret_files import create_home
from config.supervision import embedded_servers, first_start
from config.supervision.servers import create_database, database_refusal
from tests.support.database_server import DatabaseServer
from tests.support.polling import until
from tests.support.servers import RUN_HOME

# A killed server loses nothing by it, only a killed machine does.
NOT_DURABLE = "fsync = off\nfull_page_writes = off\n"


@pytest.fixture(scope="session")
def prepared_home(django_db_blocker: DjangoDbBlocker) -> Path:
    """Return a folder with PostgreSQL's data: the schema and the user admin. No server runs there.

    The first process that needs it makes it for all of the run; the others wait for that.
    """
    home, is_made = RUN_HOME / "prepared", RUN_HOME / "prepared.made"
    with (RUN_HOME / "prepared.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_made.exists():
            _make(home, django_db_blocker)
            is_made.touch()
    return home


def _make(home: Path, django_db_blocker: DjangoDbBlocker) -> None:
    create_home(home)
    embedded_servers.prepare_postgres(home)
    with (home / "postgres" / "data" / "postgresql.conf").open("a") as settings:
        settings.write(NOT_DURABLE)
    url = embedded_servers.postgres_url(home, "postgres")
    server = embedded_servers.spawn(embedded_servers.postgres_command(home))
    try:
        until("PostgreSQL answers", lambda: database_refusal(url) is None, 60)
        create_database(home)
        with (
            django_db_blocker.unblock(),
            DatabaseServer(url).speaking_to(embedded_servers.DATABASE),
            override_settings(PASSWORD_HASHERS=global_settings.PASSWORD_HASHERS),
        ):
            call_command("migrate", verbosity=0, interactive=False)
            first_start.make_admin("", home, on_terminal=False)
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=60)


def copy_home(prepared: Path, home: Path) -> None:
    """Fill the folder of a platform that has not been started yet."""
    create_home(home)
    for part in ("postgres", "run"):
        subprocess.run(["cp", "-a", str(prepared / part), str(home)], check=True)  # noqa: S607 - the system's own
