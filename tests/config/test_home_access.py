"""Nobody but its owner gets at what is kept in a home: by the bits of its folders, and by asking as another account."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.supervision import embedded_servers
from config.supervision.home import check_writable
from config.supervision.servers import database_refusal
from tests.support.polling import until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
OWNER, STRANGER = "nobody", "daemon"
PSQL = str(embedded_servers.POSTGRES_BIN / "psql")
# Start the database as an ordinary account does; everything is imported before we become that one.
SERVE = """
import os, pwd, sys
from pathlib import Path
from config.supervision import embedded_servers
from config.supervision.home import check_writable
home, account = Path(sys.argv[1]), pwd.getpwnam(sys.argv[2])
os.setgroups([])
os.setgid(account.pw_gid)
os.setuid(account.pw_uid)
check_writable(home)
embedded_servers.prepare_postgres(home)
command = embedded_servers.postgres_command(home, "fsync=off")
os.execv(command.argv[0], command.argv)
"""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another account")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def home() -> Iterator[Path]:
    above = Path(tempfile.mkdtemp(prefix="ck-closed-"))
    above.chmod(0o755)
    yield above / "home"
    shutil.rmtree(above)


@pytest.fixture
def served(home: Path) -> Iterator[Path]:
    check_writable(home)
    embedded_servers.prepare_postgres(home)
    server = embedded_servers.spawn(embedded_servers.postgres_command(home, "fsync=off"))
    until("PostgreSQL answers", lambda: database_refusal(embedded_servers.postgres_url(home, "postgres")) is None, 30)
    yield home
    server.send_signal(signal.SIGQUIT)
    server.wait(20)


def ask_as(account: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Ask the database who we are to it, as this account."""
    entry = pwd.getpwnam(account)
    question = [PSQL, "--no-psqlrc", "-tAc", "select usesuper from pg_user where usename = current_user"]
    environment = {"PATH": os.environ["PATH"], "PGCONNECT_TIMEOUT": "5"}
    return subprocess.run(
        [*question, embedded_servers.postgres_url(home, "postgres")],
        user=entry.pw_uid,
        group=entry.pw_gid,
        extra_groups=[],
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_new_home_and_what_is_kept_in_it_are_its_owners(served: Path) -> None:
    embedded_servers.valkey_command(served, 1)
    assert mode(served) == (0o711 if os.geteuid() == 0 else 0o700)
    assert {path.name: mode(path) for path in served.iterdir()} == dict.fromkeys(
        ("run", "log", "simulator", "postgres", "valkey"), 0o700
    )
    assert mode(served / "postgres" / "data") == 0o700
    assert mode(served / "postgres" / f".s.PGSQL.{embedded_servers.POSTGRES_PORT}") == 0o700


def test_what_an_older_version_left_open_is_closed(home: Path) -> None:
    for name in ("run", "log", "simulator", "valkey", "postgres"):
        (home / name).mkdir(parents=True)
        (home / name).chmod(0o755)
    home.chmod(0o755)
    check_writable(home)
    embedded_servers.prepare_postgres(home)
    embedded_servers.valkey_command(home, 1)
    assert {mode(path) for path in home.iterdir()} == {0o700}
    assert mode(home) == 0o755  # it may hold other things that others need


def test_the_first_command_already_makes_a_closed_home(home: Path) -> None:
    environment = {**os.environ, "CANDLEKEEP_HOME": str(home), "SECRET_KEY": ""}
    subprocess.run([sys.executable, str(ROOT / "manage.py"), "check"], env=environment, check=True, capture_output=True)
    assert mode(home) & 0o066 == 0
    assert mode(home / "run") == 0o700


@needs_root
def test_another_account_is_refused_at_each_door(served: Path) -> None:
    folder = served / "postgres"
    at_the_folder = ask_as(STRANGER, served)
    assert at_the_folder.returncode and "Permission denied" in at_the_folder.stderr

    folder.chmod(0o755)
    at_the_socket = ask_as(STRANGER, served)
    assert at_the_socket.returncode and "Permission denied" in at_the_socket.stderr

    (folder / f".s.PGSQL.{embedded_servers.POSTGRES_PORT}").chmod(0o777)
    at_the_login = ask_as(STRANGER, served)
    assert at_the_login.returncode and "authentication failed" in at_the_login.stderr

    assert ask_as("root", served).stdout.strip() == "t"


@needs_root
def test_what_an_ordinary_account_starts_is_closed_to_another(home: Path) -> None:
    """The case that was reported: a user of the machine starts Candlekeep, and a second user looks in."""
    home.mkdir()
    owner = pwd.getpwnam(OWNER)
    os.chown(home, owner.pw_uid, owner.pw_gid)
    server = subprocess.Popen([sys.executable, "-c", SERVE, str(home / "data"), OWNER], cwd=ROOT)
    try:
        until("its owner is let in", lambda: ask_as(OWNER, home / "data").stdout.strip() == "t", 60)
        kept = [home / "data", *(home / "data").iterdir()]
        assert {(mode(path), path.owner()) for path in kept} == {(0o700, OWNER)}

        (home / "data").chmod(0o755)
        (home / "data" / "postgres").chmod(0o755)
        (home / "data" / "postgres" / f".s.PGSQL.{embedded_servers.POSTGRES_PORT}").chmod(0o777)
        at_the_login = ask_as(STRANGER, home / "data")
        assert at_the_login.returncode and "authentication failed" in at_the_login.stderr
    finally:
        server.send_signal(signal.SIGQUIT)
        server.wait(20)
