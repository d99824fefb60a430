"""How fast the database grows by what arrived, and when it levels off or the disk would be full."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from config.supervision.embedded_servers import postgres_url
from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement
from datastore.engines.edition import timescale_edition
from datastore.wording import bytes_text, counted

DAY_S = 86_400
MIN_WATCHED_S = 900  # seconds of arrivals from which a day can be judged
MIN_ROWS = 1_000  # counted rows from which the bytes of one can be judged
NEGLIGIBLE_DAYS = 3650  # until candles alone would fill the disk

Sizes = dict[str, tuple[int, int]]  # rows as last counted, and bytes, by table


@dataclass(frozen=True, slots=True)
class Forecast:
    """How many bytes come a day; unknown: why that cannot be said."""

    per_day: float | None = None
    trades_per_day: float = 0
    bytes_per_trade: float = 0
    watched_s: float = 0
    level: float | None = None  # bytes at which trades level off, since old ones are deleted
    level_in_days: float | None = None  # from when on as many trades are deleted as arrive; None: not known
    full_in_days: float | None = None  # None: not before the trades level off
    unknown: str = ""


def holds_database(home: Path) -> bool:
    """Return whether the database lies in this data folder, and not on a server of its own."""
    return postgres_url(home) == settings.DATABASE_URL


def free_for_database() -> int | None:
    """Return the bytes that are left where the database is, None if that is not seen from here."""
    home = settings.CANDLEKEEP_HOME
    return shutil.disk_usage(home).free if holds_database(home) else None


def forecast(free: int | None) -> Forecast:
    """Return how fast the database grows; free: bytes left where it is, None if unknown."""
    if timescale_edition().converted:
        return Forecast(unknown="TimescaleDB packs trades after a day, so their size when they arrive says little.")
    ((trades, minutes, watched, kept_s),) = fetch_all(statement("system", "arrivals"))
    sizes = {name: (rows, size) for name, rows, size in fetch_all(statement("system", "sizes"))}
    return growth(trades, minutes, watched, sizes, free, kept_s)


def growth(
    trades: int, minutes: int, watched: float | None, sizes: Sizes, free: int | None, kept_s: float | None = None
) -> Forecast:
    """Return the forecast from trades and candles of so many seconds, and rows and bytes of both tables. Pure.

    kept_s: the age of the oldest stored trade in seconds.
    """
    if watched is None or watched < MIN_WATCHED_S:
        return Forecast(unknown="Less than a quarter of an hour of trades has arrived within the last day.")
    (ticks, tick_bytes), (candles, candle_bytes) = sizes["tick"], sizes["candle"]
    if ticks < MIN_ROWS:
        return Forecast(unknown="PostgreSQL has not counted the table of trades yet: ANALYZE tick does it.")
    days, retention = watched / DAY_S, settings.TICK_RETENTION_DAYS
    per_trade, per_day = tick_bytes / ticks, trades / days
    new_candles = minutes / days * candle_bytes / candles if candles >= MIN_ROWS else 0.0
    new_trades = per_day * per_trade
    total, level = new_trades + new_candles, new_trades * retention
    fills = free is not None and total > 0 and (level - tick_bytes > free or new_candles * NEGLIGIBLE_DAYS > free)
    full = free / total if fills and free is not None else None
    level_in = None if kept_s is None else max(retention - kept_s / DAY_S, 0.0)
    return Forecast(total, per_day, per_trade, watched, level, level_in, full)


def growth_text(found: Forecast, free: int | None) -> str:
    """Return the forecast in one line."""
    if found.per_day is None:
        return f"not known yet. {found.unknown}"
    text = f"{bytes_text(found.per_day)} a day, {bytes_text(found.bytes_per_trade)} for each trade"
    if found.full_in_days is not None:
        return f"{text}; the disk is full in {counted(round(found.full_in_days), 'day')}"
    if found.level is not None:
        when = "" if found.level_in_days is None else f" {_in_days(found.level_in_days)}"
        text += f"; trades level off at {bytes_text(found.level)}{when}"
    return text if free is not None else f"{text}; the database's disk is not seen from here"


def _in_days(days: float) -> str:
    return f"in {counted(round(days), 'day')}" if days >= 1 else "now"
