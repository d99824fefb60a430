"""What is stored on disk, how fast it grows by what arrived, and when the disk would be full."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from config.monitoring.cached_answer import CachedAnswer
from config.supervision.embedded_servers import postgres_url
from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement
from datastore.engines.edition import timescale_edition

DAY_S = 86_400
MIN_WATCHED_S = 900  # seconds of arrivals from which a day can be judged
MIN_ROWS = 1_000  # counted rows from which the bytes of one can be judged
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


@dataclass(frozen=True, slots=True)
class Forecast:
    """How many bytes come a day; unknown: why that cannot be said."""

    per_day: float | None = None
    trades_per_day: float = 0
    bytes_per_trade: float = 0
    watched_s: float = 0
    level: float | None = None  # bytes at which trades level off, since old ones are deleted
    full_in_days: float | None = None  # None: not before the trades level off
    unknown: str = ""


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


def forecast(free: int | None) -> Forecast:
    """Return how fast the database grows; free: bytes left where it is, None if unknown."""
    if timescale_edition().converted:
        return Forecast(unknown="TimescaleDB packs trades after a day, so their size when they arrive says little.")
    ((trades, minutes, watched),) = fetch_all(statement("system", "arrivals"))
    sizes = {name: (rows, size) for name, rows, size in fetch_all(statement("system", "sizes"))}
    return growth(trades, minutes, watched, sizes, free)


def growth(
    trades: int, minutes: int, watched: float | None, sizes: dict[str, tuple[int, int]], free: int | None
) -> Forecast:
    """Return the forecast from trades and candles of so many seconds, and rows and bytes of both tables. Pure."""
    if watched is None or watched < MIN_WATCHED_S:
        return Forecast(unknown="Less than a quarter of an hour of trades has arrived within the last day.")
    (ticks, tick_bytes), (candles, candle_bytes) = sizes["tick"], sizes["candle"]
    if ticks < MIN_ROWS:
        return Forecast(unknown="PostgreSQL has not counted the table of trades yet: ANALYZE tick does it.")
    days = watched / DAY_S
    per_trade, per_day = tick_bytes / ticks, trades / days
    new_candles = minutes / days * candle_bytes / candles if candles >= MIN_ROWS else 0.0
    new_trades = per_day * per_trade
    total, level = new_trades + new_candles, new_trades * settings.TICK_RETENTION_DAYS
    fills = free is not None and total > 0 and (level - tick_bytes > free or new_candles * 3650 > free)
    full = free / total if fills and free is not None else None
    return Forecast(total, per_day, per_trade, watched, level, full)


def _look() -> Folder:
    home = settings.CANDLEKEEP_HOME
    usage = shutil.disk_usage(home)
    parts = sorted(((part.name, sum(_sizes(part))) for part in home.iterdir()), key=lambda part: -part[1])
    return Folder(str(home), parts, usage.free, usage.total, postgres_url(home) == settings.DATABASE_URL)


_folder = CachedAnswer(_look, times=30)


def _sizes(path: Path) -> Iterator[int]:
    """Yield the bytes that files take on disk; one that vanishes meanwhile counts nothing."""
    with suppress(OSError):
        yield path.lstat().st_blocks * BLOCK_BYTES
    for parent, folders, files in os.walk(path):
        for name in (*folders, *files):
            with suppress(OSError):
                yield os.lstat(os.path.join(parent, name)).st_blocks * BLOCK_BYTES
