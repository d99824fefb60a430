"""The database's clock may be set: requests for history wait, and are held, as long as they would have been."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings

from datastore.backfill import fetch_queue
from datastore.coverage.feed_progress import note_acknowledged, note_read
from datastore.db.queries import execute
from datastore.models import Feed, FetchRequest
from datastore.reference.markets import ensure_markets
from datastore.reference.provider_clock import keep_steady_time, steady_now
from datastore.streams import lifecycle
from tests.support.datastore.records import BTC, FEED, MINUTE, NOON, moment

pytestmark = [pytest.mark.django_db, pytest.mark.parametrize("hours", [-26, -1, 1, 26])]

A_MOMENT = timedelta(seconds=30)


def set_clock(hours: int) -> None:
    """Let the database's clock look set by so much since steady time was last noted."""
    execute("update database_clock set ahead = ahead + %s", [timedelta(hours=hours)])


def request_of() -> FetchRequest:
    (market,) = ensure_markets([BTC])
    return FetchRequest.objects.create(
        market=market, resolution=60, start=moment(NOON), stop=moment(NOON + MINUTE), purpose=fetch_queue.Purpose.READER
    )


def test_a_back_off_and_a_lease_are_as_long_as_before(hours: int) -> None:
    keep_steady_time()
    request = request_of()
    assert fetch_queue.start(request.pk, "history-1@1")
    set_clock(hours)
    assert fetch_queue.expire_leases() == 0
    assert fetch_queue.renew(request.pk, "history-1@1")
    assert fetch_queue.requeue(request.pk, "history-1@1", "busy", timedelta(seconds=30))
    set_clock(-hours)
    request.refresh_from_db()
    assert request.next_try is not None
    assert timedelta(seconds=25) < request.next_try - steady_now() < timedelta(seconds=31)
    assert fetch_queue.due(1) == []


def test_what_is_acknowledged_before_and_read_after_it_is_read(hours: int) -> None:
    keep_steady_time()
    note_acknowledged(FEED, moment(NOON))
    set_clock(hours)
    note_read("tick-data", steady_now() + A_MOMENT)
    feed = Feed.objects.get()
    assert feed.drained_at is not None
    assert timedelta(0) < feed.drained_at - feed.acknowledged_at < 2 * A_MOMENT


def test_a_streams_lease_neither_ends_nor_grows(hours: int) -> None:
    keep_steady_time()
    (market,) = ensure_markets([BTC])
    stream, _ = lifecycle.create(market, "1m", "a test")
    set_clock(hours)
    assert lifecycle.expire() == 0
    left = stream.lease_until - steady_now()
    assert abs(left - timedelta(seconds=settings.STREAM_LEASE)) < A_MOMENT
