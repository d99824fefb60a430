"""Scheduled jobs of the Datastore: find gaps, refresh aggregates, delete old trades, verify stored candles."""

from __future__ import annotations

from datetime import datetime
from threading import Lock

import structlog
from celery import shared_task
from django.conf import settings

from datastore.backfill import gap_repair
from datastore.backfill.quota import forget_spending
from datastore.engines.retention import forget_old_feeds
from datastore.engines.rollups import database_engine
from datastore.models import CoverageChange, Market
from datastore.quality.verify import Verification
from datastore.reference.provider_clock import provider_now
from metering.table import UNLIKE_TRADES, VERIFIED

log = structlog.get_logger(__name__)
# A scan of many markets may take longer than the schedule's ten seconds; two would wait for each other's rows.
_scanning = Lock()


@shared_task(name="datastore.scan_gaps")
def scan_gaps() -> None:
    """Find the gaps of every market, and request what the provider can fill; do nothing while another scan does."""
    if _scanning.acquire(blocking=False):
        try:
            gap_repair.scan()
        finally:
            _scanning.release()


@shared_task(name="datastore.retention")
def retention() -> None:
    """Delete trades older than TICK_RETENTION_DAYS, their feeds, old coverage changes and old page counts."""
    now = provider_now()
    for symbol, deleted in database_engine().delete_old_trades(now, settings.TICK_RETENTION_DAYS).items():
        log.info("old trades deleted", market=symbol, trades=deleted)
    forget_spending()
    CoverageChange.forget_old()
    if forgotten := forget_old_feeds(now, settings.TICK_RETENTION_DAYS):
        log.info("old feeds forgotten", feeds=forgotten)


@shared_task(name="datastore.verify")
def verify() -> None:
    """Compare candles with their trades; log an error for each difference, a warning if nothing was checked."""
    now = provider_now()
    since = database_engine().verify_since(now)
    checked = sum(verify_market(market, since, now).checked for market in Market.objects.order_by("id"))
    if not checked:
        log.warning("no candle verified", since=since.isoformat(), reason="no trade is stored")


@shared_task(name="datastore.aggregate")
def aggregate() -> None:
    """Bring the aggregates up to date, if this database has any."""
    database_engine().refresh()


@shared_task(name="datastore.pack")
def pack() -> None:
    """Put the trades of past days into the columnstore, or pack their index where there is none."""
    if days := database_engine().pack(provider_now()):
        log.info("trades packed", days=days)


def verify_market(market: Market, start: datetime, stop: datetime) -> Verification:
    """Log every candle of [start, stop) that differs from its trades, and how many were checked; return both."""
    found = database_engine().verify(market, start, stop)
    for one in found.differences:
        log.error(
            "candle differs from its trades",
            market=market.symbol,
            resolution=one.resolution,
            open_time=one.open_time.isoformat(),
            stored=one.stored,
            made=one.computed,
        )
    VERIFIED.labels(market.symbol).inc(found.checked)
    UNLIKE_TRADES.labels(market.symbol).inc(len(found.differences))
    log.info(
        "candles verified" if found.checked else "nothing to verify",
        market=market.symbol,
        differences=len(found.differences),
        checked=found.checked,
        trades=found.trades,
        trades_deleted=found.trades_deleted,
        from_provider=found.from_provider,
    )
    return found
