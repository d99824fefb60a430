"""The folder of one Candlekeep: checked before it holds data, and locked by one `up` at a time."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

import psutil

from config.disk import write_refusal
from config.secret_files import create_home, make_private
from config.supervision.embedded_servers import EmbeddedError, check_format, check_socket_path
from config.supervision.errors import StartError

# Network file systems: PostgreSQL's locks and fsync are not reliable there.
NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afs", "afpfs", "webdav", "davfs", "9p"}
NETWORK_FILE_SYSTEMS |= {"ceph", "glusterfs", "lustre", "beegfs", "fuse.sshfs", "fuse.glusterfs", "fuse.s3fs"}
NETWORK_FILE_SYSTEMS |= {"ncpfs", "fuse.rclone"}
PRIVATE_FOLDERS = ("run", "log", "simulator")  # postgres and valkey are closed where they are prepared
HOME_HINT = "Set CANDLEKEEP_HOME to a folder"


def claim_home(home: Path) -> int:
    """Check the folder and take its lock; return the lock's file descriptor, which is held until this process ends.

    Raises StartError that names what is wrong with the folder, or the process that holds it.
    """
    check_writable(home)
    check_file_system(home, file_system_of(home))
    try:
        check_socket_path(home / "postgres")
        check_format(home / "postgres" / "data")
    except EmbeddedError as error:
        raise StartError(str(error)) from None

    path = home / "run" / "lock"
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    if not _try_lock(handle):
        holder = os.read(handle, 20).decode().strip()
        os.close(handle)
        raise StartError(
            f"Candlekeep already runs in {path.parent.parent} (process {holder or 'unknown'}). "
            "Stop that one, or set CANDLEKEEP_HOME and PORT to start another beside it."
        )
    os.truncate(handle, 0)
    os.write(handle, str(os.getpid()).encode())
    return handle


def check_writable(home: Path) -> None:
    """Create the folder, and close what we keep in it to others; raise StartError if we cannot write into it."""
    try:
        create_home(home)
        for folder in (home / name for name in PRIVATE_FOLDERS):
            make_private(folder)
        for folder in (home, home / "run", home / "log"):
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(13, "Permission denied", str(folder))
        if refusal := write_refusal(home / "run"):
            raise StartError(f"{home} cannot be written: {refusal}. Make room there, or set CANDLEKEEP_HOME elsewhere.")
    except OSError as error:
        raise StartError(f"{error.filename} cannot be written: {error.strerror}. {HOME_HINT} of yours.") from None
    data = home / "postgres"
    with suppress(FileNotFoundError):
        if os.geteuid() not in (0, data.stat().st_uid):
            raise StartError(f"{data} belongs to another account. Start Candlekeep as that one. {HOME_HINT} of yours.")


def file_system_of(home: Path) -> str:
    """Return the type of the file system that holds this folder, "" if the system does not say."""
    path = str(home.resolve())
    best, kind = -1, ""
    with suppress(OSError, RuntimeError):
        for mount in psutil.disk_partitions(all=True):
            point = mount.mountpoint.rstrip("/")
            if (path + "/").startswith(point + "/") and len(point) >= best:
                best, kind = len(point), mount.fstype
    return kind


def check_file_system(home: Path, kind: str) -> None:
    """Raise StartError if the folder is on a network file system."""
    if kind.lower() in NETWORK_FILE_SYSTEMS:
        raise StartError(
            f"{home} is on a network file system ({kind}), where a database loses data. {HOME_HINT} on a local disk, "
            "or DATABASE_URL and REDIS_URL to servers of your own."
        )


def _try_lock(handle: int) -> bool:
    # A command that only checks whether the lock is held holds it for an instant itself: try more than once.
    for _ in range(10):
        with suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(0.05)
    return False
