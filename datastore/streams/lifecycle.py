"""Streams: what applications follow, and until when.

A stream is created, renewed and ended here; the Coordinator creates its topic (datastore/streams/topics.py). A market
and timeframe has one alive stream at most: a second client that asks for it gets the same one, its lease renewed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Count, QuerySet

from actor_runtime.steady_time import SteadyNow
from datastore.backfill.newest import request_newest
from datastore.backfill.quota import Spend
from datastore.db.news import Subject, tell
from datastore.db.queries import execute, fetch_all
from datastore.db.sql_files import statement
from datastore.models import Market, Stream
from datastore.timeframes.intervals import moment
from datastore.timeframes.timeframe import TIMEFRAMES

LOCK_STREAMS = "select pg_advisory_xact_lock(hashtext('stream'))"
LEASE_OVER = "its lease ran out"

State = Stream.State


class TooManyStreams(Exception):
    """As many streams are alive as MAX_STREAMS allows."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stream's data is.

    lag: milliseconds that the broker has acknowledged but that are not stored yet; None if nothing was acknowledged.
    """

    lag: int | None = None
    newest: datetime | None = None  # start of the newest candle of the stream's timeframe that has trades
    price: str | None = None


def create(market: Market, timeframe: str, by: str, spend: Spend | None = None) -> tuple[Stream, bool]:
    """Return the alive stream of a market and timeframe, its lease renewed, and whether this call created it.

    With the first stream of a market that is not followed, its newest candles are requested, so that a chart is full
    from the start. Raise TooManyStreams, or what `spend` raises; nothing is created then.
    """
    with transaction.atomic():
        if found := _renewed(market, timeframe):
            return found, False
        execute(LOCK_STREAMS)  # several clients at once create one stream, and no more than MAX_STREAMS
        if found := _renewed(market, timeframe):
            return found, False
        if alive().count() >= settings.MAX_STREAMS:
            raise TooManyStreams

        is_first = not market.followed and not alive().filter(market=market).exists()
        times = {"lease_until": SteadyNow() + _lease(), "created_at": SteadyNow()}
        created = Stream.objects.create(market=market, timeframe=timeframe, asked_by=by, **times)
        tell(Subject.WORK)
        if is_first:
            request_newest([market], spend=spend)
        return Stream.objects.get(pk=created.pk), True


def renew(stream_id: int) -> bool:
    """Renew the lease; return False if the stream is not alive."""
    return bool(alive().filter(pk=stream_id).update(lease_until=SteadyNow() + _lease()))


def renew_all(stream_ids: Collection[int]) -> None:
    """Renew the leases of those of these streams that are alive."""
    alive().filter(pk__in=stream_ids).update(lease_until=SteadyNow() + _lease())


def end(stream_id: int, by: str) -> bool:
    """End a stream; return False if it is not alive. Its topic retires when no other stream needs it."""
    values = {"state": State.ENDED, "ended_at": SteadyNow(), "ended_by": by, "next_try": None}
    return bool(alive().filter(pk=stream_id).update(**values))


def expire() -> int:
    """End the streams whose lease ran out; return how many."""
    over = alive().filter(lease_until__lt=SteadyNow())
    return over.update(state=State.ENDED, ended_at=SteadyNow(), ended_by=LEASE_OVER, next_try=None)


def alive() -> QuerySet[Stream]:
    """Return the streams that are requested or live."""
    return Stream.objects.filter(state__in=Stream.ALIVE)


def progress(streams: Iterable[Stream]) -> dict[int, Progress]:
    """Return how far the data of each stream is, by its id; one query for all."""
    frames = {stream.pk: TIMEFRAMES[stream.timeframe] for stream in streams}
    rows = fetch_all(statement("streams", "progress"), {"ids": list(frames)}) if frames else []
    return {
        pk: Progress(lag, None if newest is None else frames[pk].floor(moment(newest)), price)
        for pk, lag, newest, price in rows
    }


def count_by_state() -> dict[str, int]:
    """Return how many streams are in each state."""
    found = Stream.objects.order_by().values_list("state").annotate(Count("pk"))
    return {str(state): 0 for state in State} | dict(found)


def delete_old(before: datetime) -> int:
    """Delete the streams that ended or failed before this time; return how many."""
    return Stream.objects.filter(ended_at__lt=before).exclude(state__in=Stream.ALIVE).delete()[0]


def _renewed(market: Market, timeframe: str) -> Stream | None:
    found = alive().filter(market=market, timeframe=timeframe)
    return found.first() if found.update(lease_until=SteadyNow() + _lease()) else None


def _lease() -> timedelta:
    return timedelta(seconds=settings.STREAM_LEASE)
