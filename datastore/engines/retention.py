"""Trades are kept for TICK_RETENTION_DAYS, and a feed's positions as long as its trades; candles and claims stay."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F

from datastore.db.queries import execute, fetch_all
from datastore.db.sql_files import statement
from datastore.models import Feed, FeedPosition, Market, Tick

DAY = timedelta(days=1)
SLICE_TRADES = 20_000  # deleted in one transaction


def delete_old_trades(market: Market, now: datetime, days: int) -> int:
    """Delete the trades of whole UTC days that ended more than `days` ago; return how many.

    First, under the writers' lock, the market's row is given the time from which on trades are kept: after that nobody
    stores an older one, or computes a candle of one. So they go slice by slice, and no writer waits for any of them.
    What a run that was ended has left, the next one deletes.
    """
    bound = _midnight(now) - days * DAY
    old = Tick.objects.filter(market=market, ts__lt=bound)
    if not old.exists():
        return 0
    with transaction.atomic():
        locked = Market.objects.select_for_update(no_key=True).get(pk=market.pk)
        if locked.ticks_from is None or locked.ticks_from < bound:
            Market.objects.filter(pk=market.pk).update(ticks_from=bound)
    deleted: int = 0
    since = old.order_by("ts").values_list("ts", flat=True)[0]
    while True:
        values = {"market": market.pk, "since": since, "bound": bound, "trades": SLICE_TRADES}
        gone: int
        ((gone, newest),) = fetch_all(statement("retention", "delete_slice"), values)
        deleted += gone
        if gone < SLICE_TRADES:
            return deleted
        since = newest


def delete_repeats(market: Market, start: datetime, stop: datetime) -> None:
    """Delete trades of [start, stop) that are stored more than once, but for one of each."""
    with transaction.atomic():
        Market.objects.select_for_update(no_key=True).get(pk=market.pk)
        execute(statement("retention", "delete_repeats"), {"market": market.pk, "start": start, "stop": stop})


def forget_old_feeds(now: datetime, days: int) -> int:
    """Delete the feeds that were last acknowledged more than `days` ago, and their positions; return how many feeds.

    A feed that ended is needed until its topic was read past its last record. After that only its claims are needed:
    bridges are built on claims and trades.
    """
    ended = Feed.objects.filter(acknowledged_until__lt=now - days * DAY, drained_at__gte=F("acknowledged_at"))
    with transaction.atomic():
        names = list(ended.values_list("feed", flat=True))
        FeedPosition.objects.filter(feed__in=names).delete()
        return Feed.objects.filter(feed__in=names).delete()[0]


def _midnight(time: datetime) -> datetime:
    return time.replace(hour=0, minute=0, second=0, microsecond=0)
