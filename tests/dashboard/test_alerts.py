"""The page of alerts: each thing that can be wrong, in words, and what was looked at."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as configured_settings
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone
from redis.exceptions import ConnectionError as CacheAway

from config.monitoring import growth
from consumers.models import FixedTopicConsumer
from coordination.models import Coordinator
from dashboard.alerts import CHECKS, Level, data, open_alerts, platform
from datastore.dead_letters import DeadLetterRecord, store_dead_letters
from datastore.models import DeadLetter, FetchRequest, GapRepair, Market, ProviderClock, Stream
from datastore.reference.provider_clock import steady_now
from datastore.reference.provider_registry import live_role
from ingestion.history.provider_quota import quota_of
from ingestion.models import Producer
from ingestion.providers.table import configured
from streaming.refusals import Refusal, RefusalCode
from tests.support.api.rows import BEGAN, MINUTE, SYMBOL, Feed
from tests.support.dashboard.reading import XSS, XSS_SHOWN, shown
from tests.support.datastore.records import store

pytestmark = pytest.mark.django_db
ALIVE = {"owner": "here:1:1", "heartbeat_at": Now()}


@pytest.fixture
def well(market: Market, settings: Any) -> Market:
    """A platform in which nothing is wrong: every role is alive, and one market is followed whose feed is live."""
    Coordinator.objects.create(name="coordinator-1", role="coordinator", **ALIVE)
    for role in ("fixed-tick", "fixed-candle"):
        FixedTopicConsumer.objects.create(name=f"{role}-1", role=role, **ALIVE)
    for provider in settings.PROVIDERS:
        Producer.objects.create(name=f"live-{provider}", role=live_role(provider), **ALIVE)
    Market.objects.exclude(pk=market.pk).update(followed=False)
    feed, now = Feed(), (timezone.now() - BEGAN).total_seconds()
    store(feed.opened(), feed.trade(1, "100"), feed.watermark(now))
    return market


def titles() -> dict[str, Level]:
    return {alert.title: alert.level for alert in open_alerts()}


def test_all_is_well_only_with_a_list_of_what_was_checked(client: Client, well: Market) -> None:
    page = shown(client, "/alerts")
    assert f"All is well.</strong> {len(CHECKS) - 1} checks" in page
    assert page.count("well</span>") == len(CHECKS) - 1
    assert "whose disk is not seen from here" in page  # the tests' database is in a folder of its own
    for check in CHECKS:
        assert check.looked_at in page


def test_without_a_followed_market_nothing_is_said_of_feeds(client: Client, well: Market) -> None:
    Market.objects.update(followed=False)
    assert titles() == {}
    assert "no market is followed" in shown(client, "/alerts")


def test_a_server_that_does_not_answer_is_an_error(well: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "failing_lately", lambda: {"stream": "connection refused"})
    assert titles() == {"Stream does not answer": Level.ERROR}


def test_a_disk_that_is_nearly_full_is_named_with_what_is_left(well: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "postgres_url", lambda _: configured_settings.DATABASE_URL)
    monkeypatch.setattr("shutil.disk_usage", lambda _: (100_000_000_000, 0, 1_000_000_000))
    assert titles() == {"The disk is nearly full": Level.WARNING}
    monkeypatch.setattr("shutil.disk_usage", lambda _: (100_000_000_000, 0, 1_000_000))
    assert titles() == {"The disk is nearly full": Level.ERROR}


def test_actors_in_error_and_silent_ones_say_what_happens_next(client: Client, well: Market) -> None:
    Producer.objects.create(name="history-1", role="producer-history", **ALIVE)
    with Producer.locked("history-1") as actor:
        actor.fetch_data()
        actor.fetch_failure(reason="the plan was cancelled")
    long_ago = steady_now() - timedelta(minutes=2)
    Producer.objects.create(name="history-2", role="producer-history", owner="here:2:2", heartbeat_at=long_ago)
    assert titles() == {"history-1 is in Error": Level.ERROR, "history-2 is silent": Level.WARNING}
    page = shown(client, "/alerts")
    for words in ("the plan was cancelled", "mend the cause, then reset it", "Another process takes it over"):
        assert words in page


def test_a_role_that_nobody_has_is_named_with_the_command_for_it(client: Client, well: Market) -> None:
    Coordinator.objects.all().delete()
    assert titles() == {"No Coordinator is running": Level.ERROR}
    assert "<code>manage.py run_coordinator</code>" in shown(client, "/alerts")


def test_a_clock_that_disagrees_is_named(well: Market) -> None:
    ProviderClock.objects.update(clock_offset=timedelta(seconds=40))
    assert "The clock of cryptocompare disagrees" in titles()


def test_debug_and_prices_of_two_kinds_are_named(well: Market, settings: Any) -> None:
    settings.DEBUG = True
    assert titles() == {"DEBUG is on": Level.WARNING}
    settings.DEBUG = False
    ProviderClock.objects.create(provider="kraken", identity="kraken", simulated=False)
    assert titles() == {"Simulated data beside real data": Level.ERROR}


def test_feeds_that_are_stale_refused_or_have_no_data_are_named(well: Market) -> None:
    Market.objects.filter(symbol="kraken:BTC-USD").update(followed=True, refusal="not in your plan")
    Market.objects.filter(symbol="coinbase:ETH-USD").update(followed=True)
    Market.objects.filter(pk=well.pk).update(live_stop=BEGAN)
    assert titles() == {
        "kraken:BTC-USD is refused": Level.ERROR,
        "coinbase:BTC-USD is stale": Level.WARNING,
        "coinbase:ETH-USD has no data yet": Level.NOTICE,
    }


def test_of_many_stale_feeds_the_first_are_named_and_the_others_counted(well: Market) -> None:
    name = {"exchange": "x", "base": "B", "quote": "Q", "provider_exchange": "x", "provider_base": "B"}
    Market.objects.bulk_create(
        Market(symbol=f"x:B{n}-Q", provider_quote="Q", followed=True, **name) for n in range(data.MAX_NAMED + 5)
    )
    assert "5 more markets without a live feed" in titles()
    assert len(titles()) == data.MAX_NAMED + 1


def test_gaps_requests_streams_and_dead_letters_are_counted(well: Market) -> None:
    span = {"market": well, "resolution": 60, "start": BEGAN - MINUTE, "stop": BEGAN}
    GapRepair.objects.create(**span, code="socket", reason="lost")
    GapRepair.objects.create(**span, code="fetch", reason="503")
    GapRepair.objects.create(**span, code="final", reason="too old", final=True)
    FetchRequest.objects.create(**span, purpose=1, state="failed", error="503", finished_at=timezone.now())
    old = FetchRequest.objects.create(**span, purpose=1)
    FetchRequest.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(hours=1))
    times = {"created_at": timezone.now(), "lease_until": timezone.now()}
    Stream.objects.create(market=well, timeframe="1m", state="failed", error="no topic", ended_at=steady_now(), **times)
    Stream.objects.create(market=well, timeframe="5m", attempts=1, error="no topic yet", **times)
    store_dead_letters([DeadLetterRecord("tick-data", SYMBOL, Refusal(RefusalCode.UNREADABLE, "?"), b"?", "1-0")])
    assert titles() == {
        "1 gap cannot be fetched now": Level.WARNING,
        "1 gap not filled yet": Level.WARNING,
        "1 gap will stay": Level.NOTICE,
        "1 request to a provider failed within the hour": Level.WARNING,
        "1 request under way for over 15 min": Level.NOTICE,
        "1 stream failed within a day": Level.WARNING,
        "1 stream could not be made yet": Level.WARNING,
        "1 dead letter": Level.NOTICE,
    }
    DeadLetter.objects.update(replayed_at=timezone.now())
    assert "1 dead letter" not in titles()


def test_a_provider_that_may_not_be_called_is_named(well: Market) -> None:
    (provider,) = configured()
    quota_of(provider.traits).pause(60, "the plan is used up")
    assert titles() == {f"{provider.name} is not called now": Level.WARNING}


def test_a_check_that_cannot_be_made_says_so_and_the_others_are_made(
    well: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> Any:
        raise CacheAway("refused")

    monkeypatch.setattr(data, "quota_of", away)
    ProviderClock.objects.create(provider="kraken", identity="kraken", simulated=False)
    assert set(titles()) == {"Budget could not be checked", "Simulated data beside real data"}


def test_the_worst_comes_first_and_the_menu_counts_them_all(client: Client, well: Market) -> None:
    Market.objects.filter(pk=well.pk).update(refusal="no")
    store_dead_letters([DeadLetterRecord("tick-data", SYMBOL, Refusal(RefusalCode.UNREADABLE, "?"), b"?", "1-0")])
    page = shown(client, "/alerts")
    assert page.index("is refused") < page.index("dead letter</strong>")
    assert '<span class="count error">2</span>' in page


def test_a_text_of_the_provider_stays_text(client: Client, well: Market) -> None:
    Market.objects.filter(pk=well.pk).update(refusal=XSS)
    page = shown(client, "/alerts")
    assert XSS not in page
    assert XSS_SHOWN in page


def test_the_statements_are_as_many_for_many_alerts(client: Client, well: Market, count_statements: Any) -> None:
    few = count_statements(client, "/alerts")
    Market.objects.update(followed=True, refusal="no")
    for number in range(5):
        Producer.objects.create(name=f"history-{number}", state="error", last_error="x", last_error_at=timezone.now())
        span = {"start": BEGAN - number * MINUTE, "stop": BEGAN - (number - 1) * MINUTE}
        GapRepair.objects.create(market=well, resolution=60, code="socket", reason="lost", **span)
    assert count_statements(client, "/alerts") == few
