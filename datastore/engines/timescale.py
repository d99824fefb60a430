"""Where the trades are a TimescaleDB hypertable: chunks, columnstore, and continuous aggregates that prove the candles.

The write is the same as on plain PostgreSQL: candles are made in the batch's transaction, and they alone are served.
The aggregates are made of the same trades by other code, later; what they hold of buckets that are over must be equal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from threading import Event
from typing import Any, TypeVar

import structlog
from django.conf import settings
from django.db import OperationalError, transaction

from actor_runtime.reset_policy import backoff
from datastore.db.queries import execute, fetch_all, fetch_value
from datastore.db.sql_files import statement
from datastore.ingest.live_write import rebuild
from datastore.models import Market
from datastore.quality.verify import Difference, differences
from datastore.reference.provider_clock import provider_now, provider_time_known
from datastore.timeframes.utc_days import DAY, ceil_day, days_of, floor_day, floor_to

LEVELS = (("aggregate_1m", 60), ("aggregate_1h", 3600), ("aggregate_1d", 86_400))  # each is made of the one before
TRIES, LONGEST = 8, 30.0  # of what another holds: some two minutes
LOOKS = 3  # at a difference, for a trade may have come between aggregate and candle
HELD = "55P03"
T = TypeVar("T")
log = structlog.get_logger(__name__)


class Timescale:
    """The engine of a database that was turned; nothing here may run inside a transaction."""

    def refresh(self, start: datetime | None = None, stop: datetime | None = None, *, anew: bool = False) -> None:
        """Bring the aggregates of [start, stop) up to date, as far as trades are kept and buckets are over.

        anew: make them from their trades even where nothing is known to have changed.
        """
        low, over = self._low(start), self._over(stop)
        if low is None or over is None:
            return
        for name, seconds in LEVELS:
            end = floor_to(over, seconds)
            if end - low >= timedelta(seconds=seconds):
                values = {"aggregate": name, "start": low, "stop": end, "anew": anew}
                patiently(partial(execute, statement("rollups", "refresh"), values))

    def differences(self, market: Market, start: datetime, stop: datetime) -> list[Difference]:
        """Return every candle of the UTC days that [start, stop) touches that differs from its trades.

        Buckets that are over are held against the aggregates; the days that no aggregate can hold yet against the
        trades themselves. Days whose trades are no longer kept are left out.
        """
        low, over = self._low(floor_day(start)), self._over(ceil_day(stop))
        if low is None or over is None:
            return differences(market, start, stop)
        found = self._lasting(market, max(low, market.ticks_from or low), over)
        today = max(floor_day(over), floor_day(start))
        rest = differences(market, today, stop) if today < stop else []
        named = {one.place for one in rest}
        return sorted([*rest, *(one for one in found if one.place not in named)], key=lambda one: one.place)

    def heal(self, market: Market, found: Sequence[Difference]) -> None:
        """Make the days of these differences anew from their trades: the candles, and what the aggregates hold."""
        for day in days_of(one.open_time for one in found):
            rebuild(market, day, day + DAY)
            self.refresh(day, day + DAY, anew=True)

    def proven_since(self, now: datetime) -> datetime:
        """Return from where on the nightly verification looks: all that is kept, since comparing costs little."""
        return self._low(None) or now

    def delete_old_trades(self, now: datetime, days: int) -> dict[str, int]:
        """Drop the chunks of whole UTC days that ended more than `days` ago; return how many trades per market."""
        bound = floor_day(now) - days * DAY
        oldest = fetch_value(statement("rollups", "oldest_chunk"))
        if oldest is None or oldest >= bound:
            return {}
        counts = dict(fetch_all(statement("rollups", "old_trades"), {"bound": bound}))
        patiently(partial(_drop_before, bound))
        return counts

    def pack(self, now: datetime) -> int:
        """Put the chunks of days that ended a day ago into the columnstore, late trades too; return how many new."""
        chunks = fetch_all(statement("rollups", "packable"), {"before": floor_day(now) - DAY})
        for chunk, _ in chunks:
            patiently(partial(_pack, chunk))
        return sum(not packed for _, packed in chunks)

    def _low(self, start: datetime | None) -> datetime | None:
        """Return the first day of those from start on whose trades are kept.

        An aggregate refreshed where they are not would lose what it held.
        """
        oldest: datetime | None = fetch_value(statement("rollups", "oldest_chunk"))
        return oldest if oldest is None or start is None else max(oldest, floor_day(start))

    def _over(self, stop: datetime | None) -> datetime | None:
        """Return up to where buckets are over, at most stop; None while the provider's time is not known.

        An aggregate that holds an open bucket would miss its later trades until somebody refreshed it again.
        """
        if not provider_time_known():
            return None
        over = provider_now() - timedelta(seconds=settings.STALE_AFTER)
        return over if stop is None else min(over, stop)

    def _lasting(self, market: Market, low: datetime, over: datetime) -> list[Difference]:
        """Return the differences that are still there when looked at again."""
        found = self._unlike(market, low, over)
        for _ in range(LOOKS - 1):
            if found:
                before = {one.place for one in found}
                found = [one for one in self._unlike(market, low, over) if one.place in before]
        return found

    def _unlike(self, market: Market, low: datetime, over: datetime) -> list[Difference]:
        self.refresh(low, over)
        resolutions = [seconds for _, seconds in LEVELS]
        ends = [floor_to(over, seconds) for seconds in resolutions]
        values: dict[str, Any] = {"market": market.pk, "start": low, "resolutions": resolutions, "ends": ends}
        return [Difference.of(*row) for row in fetch_all(statement("rollups", "unlike"), values)]


def patiently(work: Callable[[], T]) -> T:
    """Do it; again after 1 s, 2 s … 30 s where somebody else holds what it needs, which raises at once."""
    for tries in range(1, TRIES):
        try:
            return work()
        except OperationalError as exc:
            if getattr(exc.__cause__, "sqlstate", None) != HELD:
                raise
            log.info("held by another, trying again", tries=tries)
        Event().wait(backoff(tries, LONGEST))
    return work()


def _drop_before(bound: datetime) -> None:
    """Drop chunks, and say in the same transaction that their trades are gone."""
    with transaction.atomic():
        execute(statement("rollups", "impatient"))
        # The writers' lock: whoever makes a minute anew sees either its trades or that they are no longer kept.
        fetch_all(statement("rollups", "lock_all"))
        execute(statement("rollups", "forget"), {"bound": bound})
        fetch_all(statement("rollups", "drop_chunks"), {"bound": bound})


def _pack(chunk: str) -> None:
    with transaction.atomic():
        execute(statement("rollups", "impatient"))
        execute(statement("rollups", "pack"), {"chunk": chunk})
