"""Which engine this database has, plain PostgreSQL or TimescaleDB, and how to convert one to the other.

The write path and every read are the same on both. They differ in how stored candles are verified, and in how old
trades are deleted and compressed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

import structlog
from django.db import ProgrammingError, transaction

from datastore.db.queries import run_script
from datastore.db.sql_files import script
from datastore.engines.edition import CONVERTIBLE, Case, TimescaleEdition, timescale_edition
from datastore.engines.retention import delete_old_trades, delete_repeats
from datastore.engines.timescale import TimescaleEngine
from datastore.engines.trade_index import pack_trade_index
from datastore.ingest.live_write import rebuild
from datastore.models import Market
from datastore.quality.verify import Difference, Verification, differences, verification
from datastore.timeframes.utc_days import DAY, days_of

log = structlog.get_logger(__name__)
INSUFFICIENT_PRIVILEGE = "42501"  # SQLSTATE
OWNER_HINT = (
    "This role may not create the extension: the owner of the database must run `create extension timescaledb` first."
)


class CannotConvert(Exception):
    """This database cannot be converted from one engine to the other."""

    def __init__(self, found: TimescaleEdition, why: str | None = None) -> None:
        super().__init__(" ".join(filter(None, [f"{found.sentence}.", why or found.hint])))


class Engine(Protocol):
    """What differs between the two engines."""

    def refresh(self) -> None:
        """Bring everything up to date that is computed from trades outside the write path."""

    def verify(self, market: Market, start: datetime, stop: datetime) -> Verification:
        """Compare the candles of the UTC days touched by [start, stop) with their kept trades, and count them."""

    def heal(self, market: Market, found: Sequence[Difference]) -> None:
        """Rebuild the days of these differences from their trades."""

    def verify_since(self, now: datetime) -> datetime:
        """Return where the nightly verification starts."""

    def delete_old_trades(self, now: datetime, days: int) -> dict[str, int]:
        """Delete the trades of whole UTC days that ended more than `days` ago; return how many, by market's symbol."""

    def pack(self, now: datetime) -> int:
        """Make what holds the trades smaller; return how many past days were newly compressed."""


class PlainEngine:
    """PostgreSQL alone: nothing is computed outside the write path, so verifying a candle is computing it again."""

    def refresh(self) -> None:
        """Do nothing."""

    def verify(self, market: Market, start: datetime, stop: datetime) -> Verification:
        """Compute the candles from their trades and compare."""
        return verification(market, start, stop, differences(market, start, stop))

    def heal(self, market: Market, found: Sequence[Difference]) -> None:
        """Rebuild the days of these differences from their trades, each of which is stored once from then on."""
        for day in days_of(one.open_time for one in found):
            delete_repeats(market, day, day + DAY)
            rebuild(market, day, day + DAY)

    def verify_since(self, now: datetime) -> datetime:
        """Every day is verified twice, the second time with what came late."""
        return now - timedelta(days=2)

    def delete_old_trades(self, now: datetime, days: int) -> dict[str, int]:
        """Delete market by market, day by day."""
        return {
            market.symbol: deleted
            for market in Market.objects.order_by("id")
            if (deleted := delete_old_trades(market, now, days))
        }

    def pack(self, now: datetime) -> int:
        """Pack the index of trades; their tables have no compression."""
        if sizes := pack_trade_index():
            log.info("index of trades packed", bytes_before=sizes[0], bytes=sizes[1])
        return 0


def database_engine() -> Engine:
    """Return the engine of this database."""
    return TimescaleEngine() if timescale_edition().case is Case.CONVERTED else PlainEngine()


def convert(definitions: str | None = None) -> TimescaleEdition:
    """Make the trades a hypertable with columnstore and aggregates, in one transaction.

    definitions: a migration's own SQL; without it, today's.
    Raise CannotConvert, with nothing changed, if the server has no TimescaleDB that can.
    """
    with transaction.atomic():
        found = timescale_edition()
        if found.case not in CONVERTIBLE:
            raise CannotConvert(found)
        try:
            with transaction.atomic():
                run_script("create extension if not exists timescaledb")
        except ProgrammingError as exc:
            if getattr(exc.__cause__, "sqlstate", None) != INSUFFICIENT_PRIVILEGE:
                raise
            raise CannotConvert(found, OWNER_HINT) from None

        found = timescale_edition()  # the edition is only known for certain now
        if found.case not in CONVERTIBLE:
            raise CannotConvert(found)
        run_script(definitions or script("engines/timescale"))
        return timescale_edition()


def convert_back(definitions: str | None = None) -> TimescaleEdition:
    """Make the trades a plain table again, in one transaction; the extension stays.

    Raise CannotConvert if they are not a hypertable.
    """
    with transaction.atomic():
        if (found := timescale_edition()).case is not Case.CONVERTED:
            raise CannotConvert(found)
        run_script(definitions or script("engines/timescale_undo"))
        return timescale_edition()
