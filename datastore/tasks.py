"""Scheduled jobs of the Datastore: find holes, delete old trades, prove stored candles."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from celery import shared_task
from django.conf import settings

from datastore import repair
from datastore.budget import forget_spending
from datastore.changes import forget_old_changes
from datastore.clock import provider_now
from datastore.models import Market
from datastore.retention import delete_old_trades, forget_old_feeds
from datastore.verify import differences
from metering.table import UNLIKE_TRADES

log = structlog.get_logger(__name__)

VERIFIED = timedelta(days=2)  # every day is proven twice: the second time with what came late


@shared_task(name="datastore.scan_gaps")
def scan_gaps() -> None:
    """Look for holes in every market, and ask for what the provider can give."""
    repair.scan()


@shared_task(name="datastore.retention")
def retention() -> None:
    """Delete the trades that are older than TICK_RETENTION_DAYS, their feeds, old changes and old spendings."""
    now = provider_now()
    for market in Market.objects.order_by("id"):
        if deleted := delete_old_trades(market, now, settings.TICK_RETENTION_DAYS):
            log.info("old trades deleted", market=market.symbol, trades=deleted)
    forget_spending()
    forget_old_changes()
    if forgotten := forget_old_feeds(now, settings.TICK_RETENTION_DAYS):
        log.info("old feeds forgotten", feeds=forgotten)


@shared_task(name="datastore.verify")
def verify() -> None:
    """Make the candles of the last days anew from their trades; every difference is an error in the log."""
    now = provider_now()
    for market in Market.objects.order_by("id"):
        verify_market(market, now - VERIFIED, now)


def verify_market(market: Market, start: datetime, stop: datetime) -> int:
    """Log every candle of [start, stop) that is not what its trades make; return how many."""
    found = differences(market, start, stop)
    for one in found:
        told = {"resolution": one.resolution, "open_time": one.open_time.isoformat()}
        log.error("candle differs from its trades", market=market.symbol, **told, stored=one.stored, made=one.computed)
    UNLIKE_TRADES.labels(market.symbol).inc(len(found))
    log.info("candles verified", market=market.symbol, differences=len(found))
    return len(found)
