"""What is stored on disk, by part and by table."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from config.monitoring.cached_answer import CachedAnswer
from config.monitoring.growth import holds_database
from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement

BLOCK_BYTES = 512  # what st_blocks counts in
MAX_TABLES = 8


@dataclass(frozen=True, slots=True)
class Table:
    """A table; rows: as last counted, None if never."""

    name: str
    rows: int | None
    size: int


@dataclass(frozen=True, slots=True)
class Folder:
    """The data folder: its own bytes by part, and the disk that holds it."""

    path: str
    parts: list[tuple[str, int]]
    free: int
    total: int
    holds_database: bool

    @property
    def used(self) -> int:
        """Return how many bytes of its disk are used, by whatever."""
        return self.total - self.free


def database_size() -> int:
    """Return the bytes of this database."""
    ((_, size),) = fetch_all(statement("system", "database"))
    return int(size)


def tables() -> list[Table]:
    """Return the largest tables."""
    return [Table(*row) for row in fetch_all(statement("system", "tables"), {"limit": MAX_TABLES})]


def folder() -> Folder:
    """Return the data folder as it was within the last half minute."""
    return _folder.get()


def _look() -> Folder:
    home = settings.CANDLEKEEP_HOME
    usage = shutil.disk_usage(home)
    parts = sorted(((part.name, sum(_sizes(part))) for part in home.iterdir()), key=lambda part: -part[1])
    return Folder(str(home), parts, usage.free, usage.total, holds_database(home))


_folder = CachedAnswer(_look, times=30)


def _sizes(path: Path) -> Iterator[int]:
    """Yield the bytes that files take on disk; one that vanishes meanwhile counts nothing."""
    with suppress(OSError):
        yield path.lstat().st_blocks * BLOCK_BYTES
    for parent, folders, files in os.walk(path):
        for name in (*folders, *files):
            with suppress(OSError):
                yield os.lstat(os.path.join(parent, name)).st_blocks * BLOCK_BYTES
