"""How much memory each process of this `manage.py up` takes: PSS, in which shared pages count by their share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
from django.conf import settings

from config.monitoring.cached_answer import CachedAnswer
from config.secret_files import is_locked

# What a command line holds, and what that process is for people; the first that fits.
KINDS = (
    ("manage.py up", "up"),
    ("fork_server", "fork server"),  # one that is a fork of `up` has that title
    ("celeryd", "worker"),
    ("celery beat", "beat"),
    ("celery --app config.celery --quiet worker", "worker"),
    ("celery --app config.celery --quiet beat", "beat"),
    ("granian", "web"),
    ("postgres", "PostgreSQL"),
    ("valkey-server", "Valkey"),
)
OUR_TITLE = "candlekeep "


@dataclass(frozen=True, slots=True)
class Share:
    """The memory of the processes of one kind."""

    name: str
    processes: int
    size: int


@dataclass(frozen=True, slots=True)
class Memory:
    """What all processes take; unknown: why that cannot be said."""

    shares: list[Share]
    unknown: str = ""

    @property
    def total(self) -> int:
        """Return the bytes of all."""
        return sum(share.size for share in self.shares)


def memory() -> Memory:
    """Return the memory of the processes of this folder's `up`, as it was within the last ten seconds."""
    return _memory.get()


def kind_of(command: str) -> str:
    """Return what a process is for people, by its command line. Pure."""
    if command.startswith(OUR_TITLE):
        return command.removeprefix(OUR_TITLE).split(" ")[0]
    return next((kind for part, kind in KINDS if part in command), command.split(" ")[0].rpartition("/")[2][:40])


def _look() -> Memory:
    lock = settings.CANDLEKEEP_HOME / "run" / "lock"
    if not is_locked(lock):
        return Memory([], "No `manage.py up` runs in this folder, so the processes are elsewhere.")
    try:
        up = psutil.Process(int(lock.read_text()))
        found: dict[str, list[int]] = defaultdict(list)
        for process in [up, *up.children(recursive=True)]:
            for name, size in _share(process):
                found[name].append(size)
    except (OSError, ValueError, psutil.Error) as exc:
        return Memory([], f"The processes cannot be looked at: {exc}")
    shares = [Share(name, len(sizes), sum(sizes)) for name, sizes in found.items()]
    return Memory(sorted(shares, key=lambda share: -share.size))


_memory = CachedAnswer(_look, times=10)


def _share(process: psutil.Process) -> Iterator[tuple[str, int]]:
    """Yield what a process is and takes; nothing of one that has just ended."""
    try:
        command = " ".join(process.cmdline()) or process.name()
        full = process.memory_full_info()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return
    yield kind_of(command), int(getattr(full, "pss", full.rss))
