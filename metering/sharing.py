"""One set of counters for many processes: each writes files of its own, and the process that is scraped adds them up.

A process takes the lowest free slot of the folder and holds it by a lock that ends with it. The next process continues
in the slot's files, so restarts neither lose counts nor pile files up, and there is nothing to clean.
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from prometheus_client import values
from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

MAX_SLOTS = 256
KINDS = ("counter", "histogram")  # gauges are read from the database at each scrape
# A file is mapped into memory: writing to a part of it for which the disk turns out to have no room kills the process.
# So it gets its room at the start, about four times what the table needs.
FILE_BYTES = 1 << 20
_shared: Path | None = None  # the folder in which this process counts


class _ProcessSlot:
    """The slot of this process; a fork of it takes another one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pid, self._name = os.getpid(), _take(folder)

    def name(self) -> str:
        """Return the slot's name, cheap enough for every count."""
        if os.getpid() != self._pid:
            self._pid, self._name = os.getpid(), _take(self._folder)
        return self._name


def share_counters(folder: Path) -> str | None:
    """Let this process count in the folder; return why it cannot: then its counts stay in its own memory.

    Call it before the first metric is made; what is forked from this process counts there too.
    """
    global _shared
    if is_shared(folder):
        return None
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        slot = _ProcessSlot(folder)
    except OSError as exc:
        return f"{folder}: {exc.strerror}"
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)  # where the library looks for it
    values.ValueClass = values.MultiProcessValue(slot.name)
    _shared = folder
    return None


def is_shared(folder: Path) -> bool:
    """Return whether this process counts in the folder."""
    return _shared == folder


def reset_counters(folder: Path) -> None:
    """Begin at zero; call it while no process counts there."""
    for path in folder.glob("*_slot*.db"):
        with suppress(OSError):
            path.unlink()


def collect_counters(folder: Path) -> Iterable[Metric]:
    """Return what all processes of the folder, living and dead, have counted."""
    found: Iterable[Metric] = MultiProcessCollector(None, str(folder)).collect()
    return found


def _take(folder: Path) -> str:
    """Lock the lowest free slot and make room for its files; raise OSError."""
    for number in range(MAX_SLOTS):
        handle = os.open(folder / f"slot{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            continue
        for kind in KINDS:
            _make_room(folder / f"{kind}_slot{number}.db")
        return f"slot{number}"  # the handle stays open: the lock ends with the process
    raise OSError(None, f"all {MAX_SLOTS} slots are taken")


def _make_room(path: Path) -> None:
    """Make the file full-sized and empty, unless the counts of a process that was killed can be continued."""
    if path.exists() and path.stat().st_size >= FILE_BYTES:
        # A machine that crashed may have left it half written.
        with suppress(RuntimeError, ValueError, struct.error):
            for key, *_ in MmapedDict.read_all_values_from_file(str(path)):
                json.loads(key)
            return
    draft = path.with_suffix(".draft")
    try:
        with draft.open("wb") as file:
            file.write(bytes(FILE_BYTES))
            file.flush()
            os.fsync(file.fileno())  # some file systems report only now that they are full
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
