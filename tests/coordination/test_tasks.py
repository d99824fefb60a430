"""Scheduled jobs, called as the worker calls them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from actor_runtime.models import TransitionLog
from config.supervision.first_start import request_newest_candles
from consumers.models import DynamicTopicConsumer
from coordination.tasks import refresh, sweep, trim_logs
from datastore.backfill.newest import NEWEST_CANDLES, request_newest
from datastore.models import FetchRequest
from datastore.reference.markets import ensure_markets
from ingestion.models import Producer
from tests.support.coordination.fetch_requests import NOON, request

pytestmark = pytest.mark.django_db(transaction=True)

MARKETS = ["coinbase:BTC-USD", "kraken:BTC-EUR"]


def test_a_first_start_asks_for_the_newest_minutes_hours_and_days_of_every_market_once() -> None:
    ensure_markets(MARKETS)
    assert request_newest_candles(MARKETS) == 6
    assert request_newest_candles(MARKETS) == 6, "what is under way is named, not asked again"
    asked = list(FetchRequest.objects.order_by("id"))
    assert [one.resolution for one in asked] == [60, 60, 3600, 3600, 86400, 86400]
    for one in asked:
        assert NEWEST_CANDLES - 15 <= (one.stop - one.start).total_seconds() / one.resolution <= NEWEST_CANDLES + 1
        assert one.stop <= timezone.now() and one.purpose == FetchRequest.Purpose.SCHEDULE


def test_the_refresh_asks_for_hours_and_days_and_leaves_minutes_to_the_gap_scan() -> None:
    ensure_markets(MARKETS)
    refresh()
    assert set(FetchRequest.objects.values_list("resolution", flat=True)) == {3600, 86400}


def test_markets_are_asked_for_in_turn_so_that_every_chart_begins_to_fill() -> None:
    asked = request_newest(ensure_markets(MARKETS), [60])
    assert [one.market.symbol for one in asked] == MARKETS


def test_the_sweep_frees_rows_whose_owner_is_gone_through_their_chart_and_lets_others_be() -> None:
    quiet = {"owner": "elsewhere:1:1", "epoch": 3}
    Producer.objects.create(
        role="producer-history", name="producer-history-1", heartbeat_at=Now() - timedelta(minutes=2), **quiet
    )
    Producer.objects.create(
        role="producer-history", name="producer-history-2", heartbeat_at=Now() - timedelta(seconds=30), **quiet
    )
    with Producer.locked("producer-history-1") as producer:
        producer.fetch_data()
    sweep()
    freed, alive = Producer.objects.order_by("name")
    assert (freed.owner, freed.epoch, freed.state) == ("", 4, Producer.State.IDLE)
    assert (alive.owner, alive.epoch) == ("elsewhere:1:1", 3)
    events = TransitionLog.objects.filter(name=freed.name).order_by("id").values_list("event", flat=True)
    assert list(events)[1:] == ["TAKEOVER", "FETCH_FAILURE", "RESET"]


def test_the_sweep_frees_the_consumers_of_dynamic_topics_too_and_retires_none_that_has_a_topic() -> None:
    for name, silence in (("dyn-coinbase-BTC-USD-g1", 2), ("dyn-coinbase-ETH-USD-g2", 0)):
        silent_since = Now() - timedelta(minutes=silence)
        DynamicTopicConsumer.objects.create(name=name, heartbeat_at=silent_since, owner="elsewhere:1:1", epoch=3)
    for number in (3, 4):
        long_ago = Now() - timedelta(hours=2)
        DynamicTopicConsumer.objects.create(name=f"dyn-kraken-BTC-EUR-g{number}", heartbeat_at=long_ago)
    sweep()
    freed, alive, *unowned = DynamicTopicConsumer.objects.order_by("name")
    assert (freed.owner, freed.epoch) == ("", 4)
    assert (alive.owner, alive.epoch) == ("elsewhere:1:1", 3)
    assert [row.retired_at for row in unowned] == [None, None], "the next process must find them"
    assert list(TransitionLog.objects.values_list("name", "event")) == [(freed.name, "TAKEOVER")]


def test_the_sweep_retires_rows_that_nobody_has_owned_for_an_hour() -> None:
    for number in (1, 2):
        Producer.objects.create(
            role="producer-history", name=f"producer-history-{number}", heartbeat_at=Now() - timedelta(hours=2)
        )
    sweep()
    assert list(Producer.objects.filter(retired_at=None).values_list("name", flat=True)) == ["producer-history-1"]


def test_old_transitions_and_old_ended_requests_are_trimmed() -> None:
    market = ensure_markets(MARKETS)[0]
    old, recent = timezone.now() - timedelta(days=31), timezone.now() - timedelta(days=29)
    request(market, state="done", finished_at=old)
    kept = {request(market, state="done", finished_at=recent), request(market)}
    for first_at in (old, recent):
        edge = {"event": "RESET", "source": "error", "target": "idle", "first_at": first_at, "last_at": first_at}
        TransitionLog.objects.create(kind="producer", name="producer-live-1", **edge)
    trim_logs()
    assert set(FetchRequest.objects.values_list("pk", flat=True)) == kept
    assert TransitionLog.objects.get().first_at == recent
    assert old > NOON


def test_actors_that_were_retired_long_ago_are_trimmed() -> None:
    old, recent = timezone.now() - timedelta(days=31), timezone.now() - timedelta(days=29)
    for name, retired_at in (("dyn-a-g1", old), ("dyn-b-g2", recent), ("dyn-c-g3", None)):
        DynamicTopicConsumer.objects.create(name=name, retired_at=retired_at)
    trim_logs()
    left = DynamicTopicConsumer.objects.order_by("name").values_list("name", flat=True)
    assert list(left) == ["dyn-b-g2", "dyn-c-g3"]
