"""Trades are kept for TICK_RETENTION_DAYS, and a feed's positions as long as its trades; candles and claims stay."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Min

from datastore.models import Feed, FeedPosition, Market, Tick

DAY = timedelta(days=1)


def delete_old_trades(market: Market, now: datetime, days: int) -> int:
    """Delete the trades of whole UTC days that ended more than `days` ago; return how many.

    One day per transaction, so that writers of this market never wait for more than one day's deletion.
    """
    bound = _midnight(now) - days * DAY
    oldest = Tick.objects.filter(market=market, ts__lt=bound).aggregate(oldest=Min("ts"))["oldest"]
    if oldest is None:
        return 0
    deleted, stop = 0, _midnight(oldest) + DAY
    while stop <= bound:
        with transaction.atomic():
            # The writers' lock: a process that computes a minute again sees either its trades or that they are gone.
            locked = Market.objects.select_for_update(no_key=True).get(pk=market.pk)
            if locked.ticks_from is None or locked.ticks_from < stop:
                Market.objects.filter(pk=market.pk).update(ticks_from=stop)
                deleted += Tick.objects.filter(market=market, ts__lt=stop).delete()[0]
        stop += DAY
    return deleted


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
