"""Trades as a TimescaleDB hypertable: chunks, columnstore, and continuous aggregates that verify the candles.

The write path is the same as on plain PostgreSQL: candles are computed in the batch's transaction, and only they are
served. The aggregates are computed from the same trades by other code, later; for past buckets both must be equal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from threading import Event
from typing import Any, TypeVar

import structlog
from django.db import OperationalError, transaction

from actor_runtime.reset_policy import backoff
from datastore.db.queries import execute, fetch_all, fetch_value
from datastore.db.sql_files import statement
from datastore.ingest.live_write import rebuild
from datastore.models import Market
from datastore.quality.verify import Difference, Verification, differences, verification
from datastore.reference.provider_clock import known_times, provider_now
from datastore.reference.staleness import stale_after
from datastore.timeframes.utc_days import DAY, ceil_day, days_of, floor_day, floor_to

LEVELS = (("aggregate_1m", 60), ("aggregate_1h", 3600), ("aggregate_1d", 86_400))  # each is built on the one before
LOCK_TRIES, MAX_LOCK_DELAY_S = 8, 30.0  # about two minutes in all
COMPARE_ATTEMPTS = 3  # a trade may have arrived between the aggregate's refresh and the comparison
LOCK_NOT_AVAILABLE = "55P03"  # SQLSTATE
T = TypeVar("T")
log = structlog.get_logger(__name__)


class TimescaleEngine:
    """The engine of a converted database; nothing here may run inside a transaction."""

    def refresh(self, start: datetime | None = None, stop: datetime | None = None, *, force: bool = False) -> None:
        """Bring the aggregates of [start, stop) up to date, as far as trades are kept and buckets are over.

        force: compute them from their trades even if no change is known.
        """
        low, over = self._first_kept_day(start), self._buckets_over(stop)
        if low is None or over is None:
            return
        for name, seconds in LEVELS:
            end = floor_to(over, seconds)
            if end - low >= timedelta(seconds=seconds):
                values = {"aggregate": name, "start": low, "stop": end, "again": force}
                retry_while_locked(partial(execute, statement("rollups", "refresh"), values))

    def verify(self, market: Market, start: datetime, stop: datetime) -> Verification:
        """Compare the candles of the UTC days touched by [start, stop) with their kept trades, and count them."""
        return verification(market, start, stop, self._differences(market, start, stop))

    def _differences(self, market: Market, start: datetime, stop: datetime) -> list[Difference]:
        """Return every candle of the UTC days touched by [start, stop) that differs from its trades.

        Buckets that are over are compared with the aggregates; the days that no aggregate can hold, yet or any more,
        with the trades themselves. Days whose trades are no longer kept are left out.
        """
        low, over = self._first_kept_day(floor_day(start)), self._buckets_over(ceil_day(stop))
        if low is None or over is None:
            return differences(market, start, stop)

        early = differences(market, start, min(low, stop)) if start < low else []
        low = max(low, market.ticks_from or low)
        found = self._compare(market, low, over)
        for _ in range(COMPARE_ATTEMPTS - 1):
            if found:
                before = {one.key for one in found}
                found = [one for one in self._compare(market, low, over) if one.key in before]

        today = max(floor_day(over), floor_day(start))
        rest = differences(market, today, stop) if today < stop else []
        named = {one.key for one in [*early, *rest]}
        return sorted([*early, *rest, *(one for one in found if one.key not in named)], key=lambda one: one.key)

    def heal(self, market: Market, found: Sequence[Difference]) -> None:
        """Rebuild the days of these differences from their trades, both candles and aggregates."""
        for day in days_of(one.open_time for one in found):
            rebuild(market, day, day + DAY)
            self.refresh(day, day + DAY, force=True)

    def verify_since(self, now: datetime) -> datetime:
        """The nightly verification covers all trades that are kept, since comparing is cheap."""
        return self._first_kept_day(None) or now

    def delete_old_trades(self, now: datetime, days: int) -> dict[str, int]:
        """Drop the chunks of whole UTC days that ended more than `days` ago; return how many trades, by symbol."""
        bound = floor_day(now) - days * DAY
        oldest = fetch_value(statement("rollups", "oldest_chunk"))
        if oldest is None or oldest >= bound:
            return {}
        counts = dict(fetch_all(statement("rollups", "old_trades"), {"bound": bound}))
        retry_while_locked(partial(_drop_before, bound))
        return counts

    def pack(self, now: datetime) -> int:
        """Put the chunks that ended a day ago into the columnstore, late trades too; return how many are new there."""
        chunks = fetch_all(statement("rollups", "packable"), {"before": floor_day(now) - DAY})
        for chunk, _ in chunks:
            retry_while_locked(partial(_pack, chunk))
        return sum(not packed for _, packed in chunks)

    def _first_kept_day(self, start: datetime | None) -> datetime | None:
        """Return the first day from start on whose trades are kept.

        An aggregate that is refreshed without its trades loses what it held.
        """
        oldest: datetime | None = fetch_value(statement("rollups", "oldest_chunk"))
        return oldest if oldest is None or start is None else max(oldest, floor_day(start))

    def _buckets_over(self, stop: datetime | None) -> datetime | None:
        """Return the time before which buckets are over, at most stop; None while the provider's time is unknown.

        An aggregate that holds an open bucket would miss its later trades until the next refresh.
        """
        if not known_times():
            return None
        over = provider_now() - stale_after()
        return over if stop is None else min(over, stop)

    def _compare(self, market: Market, low: datetime, over: datetime) -> list[Difference]:
        self.refresh(low, over)
        resolutions = [seconds for _, seconds in LEVELS]
        ends = [floor_to(over, seconds) for seconds in resolutions]
        values: dict[str, Any] = {"market": market.pk, "start": low, "resolutions": resolutions, "ends": ends}
        return [Difference.of(*row) for row in fetch_all(statement("rollups", "unlike"), values)]


def retry_while_locked(work: Callable[[], T]) -> T:
    """Return work(); while a lock it needs is not available, try again after 1 s, 2 s … 30 s, then raise."""
    for tries in range(1, LOCK_TRIES):
        try:
            return work()
        except OperationalError as exc:
            if getattr(exc.__cause__, "sqlstate", None) != LOCK_NOT_AVAILABLE:
                raise
            log.info("held by another, trying again", tries=tries)
        Event().wait(backoff(tries, MAX_LOCK_DELAY_S))
    return work()


def _drop_before(bound: datetime) -> None:
    """Drop chunks, and record in the same transaction that their trades are gone."""
    with transaction.atomic():
        execute(statement("rollups", "impatient"))
        # The writers' lock: a process that computes a minute again sees either its trades or that they are not kept.
        fetch_all(statement("rollups", "lock_all"))
        execute(statement("rollups", "forget"), {"bound": bound})
        fetch_all(statement("rollups", "drop_chunks"), {"bound": bound})


def _pack(chunk: str) -> None:
    with transaction.atomic():
        execute(statement("rollups", "impatient"))
        execute(statement("rollups", "pack"), {"chunk": chunk})
