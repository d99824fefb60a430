"""Which engine this database is, and the one place that chooses by it: plain PostgreSQL, or TimescaleDB.

The write and every read are the same on both. What differs is how stored candles are proven, how old trades go, and
how they are packed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from django.db import ProgrammingError, transaction

from datastore.db.queries import run_script
from datastore.db.sql_files import script
from datastore.engines.edition import TURNABLE, Case, TimescaleEdition, timescale_edition
from datastore.engines.retention import delete_old_trades
from datastore.engines.timescale import Timescale
from datastore.ingest.live_write import rebuild
from datastore.models import Market
from datastore.quality.verify import Difference, differences
from datastore.timeframes.utc_days import DAY, days_of

NOT_ALLOWED = "42501"
OWNER = "This role may not make the extension: let the owner of the database say `create extension timescaledb` first."


class CannotConvert(Exception):
    """This database cannot be turned from one engine to the other."""

    def __init__(self, found: TimescaleEdition, why: str | None = None) -> None:
        super().__init__(" ".join(filter(None, [f"{found.told}.", why or found.hint])))


class RollUps(Protocol):
    """What an engine does with the roll-ups of trades, beside the write."""

    def refresh(self) -> None:
        """Bring up to date what is made of trades outside of their transactions."""

    def differences(self, market: Market, start: datetime, stop: datetime) -> list[Difference]:
        """Return the candles of the UTC days that [start, stop) touches that are not what their kept trades make."""

    def heal(self, market: Market, found: Sequence[Difference]) -> None:
        """Make the days of these differences anew from their trades."""

    def proven_since(self, now: datetime) -> datetime:
        """Return from where on the nightly verification looks."""

    def delete_old_trades(self, now: datetime, days: int) -> dict[str, int]:
        """Delete the trades of whole UTC days that ended more than `days` ago; return how many, by market's symbol."""

    def pack(self, now: datetime) -> int:
        """Store the trades of days that are over densely; return how many days that is new for."""


class Plain:
    """PostgreSQL alone: nothing is made outside of the write, so proving a candle is making it again."""

    def refresh(self) -> None:
        """Do nothing."""

    def differences(self, market: Market, start: datetime, stop: datetime) -> list[Difference]:
        """Make the candles from their trades and compare."""
        return differences(market, start, stop)

    def heal(self, market: Market, found: Sequence[Difference]) -> None:
        """Make the days anew."""
        for day in days_of(one.open_time for one in found):
            rebuild(market, day, day + DAY)

    def proven_since(self, now: datetime) -> datetime:
        """Every day is proven twice: the second time with what came late."""
        return now - timedelta(days=2)

    def delete_old_trades(self, now: datetime, days: int) -> dict[str, int]:
        """Delete market by market, day by day."""
        return {
            market.symbol: deleted
            for market in Market.objects.order_by("id")
            if (deleted := delete_old_trades(market, now, days))
        }

    def pack(self, now: datetime) -> int:
        """Do nothing: rows are all there is."""
        return 0


def rollups() -> RollUps:
    """Return the engine of this database."""
    return Timescale() if timescale_edition().case is Case.CONVERTED else Plain()


def convert() -> TimescaleEdition:
    """Make the trades a hypertable, with columnstore and aggregates, in one transaction.

    Raises CannotTurn where the server has no TimescaleDB that can; nothing is changed then.
    """
    with transaction.atomic():
        _make_extension(_turnable(timescale_edition()))
        _turnable(timescale_edition())  # the edition is known for certain only now
        run_script(script("timescale"))
        return timescale_edition()


def convert_back() -> TimescaleEdition:
    """Make the trades a plain table again, in one transaction; the extension stays. Raises CannotTurn likewise."""
    with transaction.atomic():
        if (found := timescale_edition()).case is not Case.CONVERTED:
            raise CannotConvert(found)
        run_script(script("timescale_undo"))
        return timescale_edition()


def _turnable(found: TimescaleEdition) -> TimescaleEdition:
    if found.case not in TURNABLE:
        raise CannotConvert(found)
    return found


def _make_extension(found: TimescaleEdition) -> None:
    try:
        with transaction.atomic():
            run_script("create extension if not exists timescaledb")
    except ProgrammingError as exc:
        if getattr(exc.__cause__, "sqlstate", None) != NOT_ALLOWED:
            raise
        raise CannotConvert(found, OWNER) from None
