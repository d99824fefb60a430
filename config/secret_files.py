"""Small things of a home that are made once and kept: passwords, keys, port numbers."""

from __future__ import annotations

import fcntl
import os
import secrets
import tempfile
from pathlib import Path


def read_or_create_secret(path: Path) -> str:
    """Return the secret in this file, made at the first call; processes that start at once agree on one."""
    while True:
        try:
            return path.read_text().strip()
        except FileNotFoundError:
            _make_once(path, secrets.token_urlsafe(48))


def _make_once(path: Path, text: str) -> None:
    draft = _draft(path, text)
    try:
        # A link fails where the name exists: whoever comes second takes the first one's.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def replace_text(path: Path, text: str) -> None:
    """Write a file readable by its owner alone; whoever reads meanwhile sees the old or the new text, whole."""
    _draft(path, text).replace(path)


def _draft(path: Path, text: str) -> Path:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    return Path(name)


def is_locked(lock: Path) -> bool:
    """Say whether a running process holds this lock file."""
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
