"""A small disk of our own that can be filled, for what happens when there is no room."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BLOCK = bytes(1 << 20)
PAUSE_S = 0.02
MOUNT, UMOUNT = shutil.which("mount") or "/bin/mount", shutil.which("umount") or "/bin/umount"


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mount a file system of this size at the folder; skip the test where that is not permitted."""
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={megabytes}m,mode=711"
    try:
        made = subprocess.run(
            [MOUNT, "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("there is no mount program here, so no disk that can be filled")
    if made.returncode:
        pytest.skip(f"a small file system cannot be mounted here ({made.stderr.strip()}); root may do that")
    try:
        yield folder
    finally:
        subprocess.run([UMOUNT, "--lazy", str(folder)], check=True)


def remount(folder: Path, how: str) -> None:
    """Make the file system `ro` or `rw`."""
    subprocess.run([MOUNT, "-o", f"remount,{how}", str(folder)], check=True)


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """Take all room of the disk that holds this folder, also what becomes free meanwhile; give it back at the end."""
    path, stop, is_full = folder / "filling", threading.Event(), threading.Event()

    def fill() -> None:
        handle, size = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), len(BLOCK)
        try:
            while not stop.is_set():
                try:
                    os.write(handle, BLOCK[:size])
                    size = len(BLOCK)
                except OSError as error:
                    assert error.errno == errno.ENOSPC
                    if size > 1:
                        size //= 2
                        continue
                    is_full.set()
                    stop.wait(PAUSE_S)
        finally:
            os.close(handle)  # an open file keeps its room after its end
            path.unlink()

    filler = threading.Thread(target=fill, name="filler")
    filler.start()
    try:
        assert is_full.wait(60), "the disk does not become full"
        yield
    finally:
        stop.set()
        filler.join()
