"""Small private files of a home that are created once: passwords, keys, port numbers."""

from __future__ import annotations

import fcntl
import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path


def create_home(home: Path) -> None:
    """Create the folder of one Candlekeep, for its owner alone; an existing one stays as open as its owner made it."""
    # As root we run PostgreSQL as another account, which must be able to pass through.
    home.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)


def make_private(folder: Path) -> None:
    """Create the folder, or close one that exists, so that only its owner may enter it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)


def read_or_create_secret(path: Path) -> str:
    """Return the secret in this file, created at the first call; concurrent callers get the same one."""
    while True:
        try:
            return path.read_text().strip()
        except FileNotFoundError:
            draft = _write_draft(path, secrets.token_urlsafe(48))
            try:
                with suppress(FileExistsError):
                    os.link(draft, path)  # fails if another process was first: its secret counts
            finally:
                draft.unlink()


def replace_text(path: Path, text: str) -> None:
    """Write a file that only its owner can read; a concurrent reader sees the old or the new text, never a part."""
    _write_draft(path, text).replace(path)


def _write_draft(path: Path, text: str) -> Path:
    """Write the text to a temporary file beside path; return its path."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
    except OSError:  # on a full disk every attempt would leave one behind
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def is_locked(lock: Path) -> bool:
    """Return whether a running process holds this lock file."""
    try:
        handle = os.open(lock, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
