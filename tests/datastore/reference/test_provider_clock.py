"""The provider's clock, and what waits in a topic."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db.models.functions import Now

from datastore.coverage.facts import head_of
from datastore.coverage.feed_progress import note_acknowledged, note_read
from datastore.db.queries import execute, fetch_value
from datastore.engines.retention import forget_old_feeds
from datastore.models import DatabaseClock, DynamicTopic, Feed, Market, ProviderClock
from datastore.reference import provider_clock
from datastore.reference.markets import ensure_markets
from datastore.reference.provider import OtherProvider, current_provider, other_provider, remember_provider
from datastore.reference.provider_clock import (
    keep_steady_time,
    provider_now,
    provider_time_known,
    save_clock,
    steady_now,
)
from datastore.series.reader import Series, read_series
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.records import (
    BTC,
    ETH,
    FEED,
    MINUTE,
    NOON,
    SECOND,
    moment,
    opened,
    store,
    trade,
    watermark,
)

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
A_MOMENT = timedelta(seconds=30)


@pytest.fixture
def btc() -> Market:
    return ensure_markets([BTC, ETH])[0]


def database_now() -> datetime:
    now: datetime = fetch_value("select statement_timestamp()")
    return now


# --- the clock ---


def test_before_the_first_stamp_the_databases_clock_stands_for_the_providers() -> None:
    remember_provider("cryptocompare", "simulator/1", simulated=True)
    assert abs(database_now() - provider_now()) < A_MOMENT


def test_the_providers_time_runs_at_its_offset() -> None:
    save_clock("cryptocompare", HOUR)
    assert abs(provider_now() - database_now() - HOUR) < A_MOMENT


def test_an_offset_that_was_wrong_is_taken_back() -> None:
    save_clock("cryptocompare", HOUR)
    save_clock("cryptocompare", timedelta(0))
    assert abs(provider_now() - database_now()) < A_MOMENT


def test_no_answer_reaches_beyond_the_providers_time_whatever_was_stored(
    btc: Market, provider_time: ProviderTime
) -> None:
    provider_time.set(NOON + 60 * MINUTE)
    store(opened(1, NOON), watermark(2, NOON + 59 * MINUTE))
    provider_time.set(NOON + 10 * MINUTE)
    shown = last_minutes(btc)
    assert shown.watermark is not None and abs(shown.watermark - moment(NOON + 10 * MINUTE)) < A_MOMENT
    assert abs(shown.server_time - moment(NOON + 10 * MINUTE)) < A_MOMENT


# --- steady time ---


def set_database_clock(ahead: timedelta) -> None:
    """Let the database's clock look set since steady time was last noted: it was so much ahead of what it shows now."""
    execute("update database_clock set ahead = ahead + %s", [ahead])


@pytest.mark.parametrize("hours", [-26, -1, 1, 26])
def test_a_clock_that_is_set_moves_neither_steady_time_nor_the_providers(hours: int) -> None:
    keep_steady_time()
    save_clock("cryptocompare", HOUR)
    before = steady_now(), provider_now()
    set_database_clock(timedelta(hours=hours))
    assert abs(steady_now() - before[0]) < A_MOMENT
    assert abs(provider_now() - before[1]) < A_MOMENT
    keep_steady_time()
    assert abs(DatabaseClock.objects.get().ahead) < A_MOMENT
    assert abs(provider_now() - before[1]) < A_MOMENT


def test_a_restarted_server_is_still_in_the_same_boot() -> None:
    keep_steady_time()
    set_database_clock(HOUR)
    DatabaseClock.objects.update(server_start=moment(NOON))
    assert abs(steady_now() - database_now()) < A_MOMENT
    keep_steady_time()
    assert DatabaseClock.objects.get().server_start != moment(NOON)


def test_steady_time_goes_on_after_a_boot_and_the_providers_is_then_unknown_until_its_stamp() -> None:
    keep_steady_time()
    save_clock("cryptocompare", HOUR)
    later = database_now() + HOUR
    DatabaseClock.objects.update(boot="the one before", newest=later, server_start=moment(NOON))
    assert abs(keep_steady_time() - later) < A_MOMENT
    assert not provider_time_known("cryptocompare")
    assert DatabaseClock.objects.count() == 1


# --- the provider ---


def test_the_provider_is_remembered_for_good() -> None:
    assert current_provider() == ("", False)
    remember_provider("cryptocompare", "simulator/1", simulated=True)
    remember_provider("cryptocompare", "simulator/1", simulated=True)
    assert current_provider() == ("simulator/1", True)
    with pytest.raises(OtherProvider, match=r"'simulator/1'.*'min-api\.cryptocompare\.com'"):
        remember_provider("cryptocompare", "min-api.cryptocompare.com", simulated=False)


def test_each_provider_has_an_identity_of_its_own_and_none_is_simulated_where_another_is_not() -> None:
    remember_provider("coinbase", "simulator/1", simulated=True)
    remember_provider("kraken", "simulator/1", simulated=True)
    remember_provider("binance", "simulator/2", simulated=True)
    assert current_provider() == ("simulator/2, simulator/1", True)
    assert current_provider(["kraken", "coinbase"]) == ("simulator/1", True)
    assert other_provider("kraken", "simulator/2") == "simulator/1"
    assert other_provider("kraken", "simulator/1") is other_provider("okx", "www.okx.com") is None
    with pytest.raises(OtherProvider, match="holds data of 'simulator/2'"):
        remember_provider("okx", "www.okx.com", simulated=False)


def test_each_market_has_the_time_of_its_own_provider() -> None:
    before = steady_now()
    save_clock("cryptocompare", HOUR)
    save_clock("kraken", 3 * HOUR)
    assert [round((provider_now(name) - before) / HOUR) for name in ("cryptocompare", "kraken", None)] == [1, 3, 1]
    assert not provider_time_known("coinbase")
    btc, eur = ensure_markets([BTC, "kraken:BTC-EUR"])
    Market.objects.filter(pk=eur.pk).update(provider="kraken")
    assert [round((moment(head_of(market).now) - before) / HOUR) for market in (btc, eur)] == [1, 3]


def test_a_clock_saved_before_the_provider_was_named_is_kept() -> None:
    save_clock("cryptocompare", HOUR)
    remember_provider("cryptocompare", "simulator/1", simulated=True)
    save_clock("cryptocompare", 2 * HOUR)
    stored = ProviderClock.objects.get()
    assert (stored.identity, stored.simulated, stored.clock_offset) == ("simulator/1", True, 2 * HOUR)


# --- what waits in a topic ---


def last_minutes(market: Market) -> Series:
    return read_series(market, "1m", moment(NOON), moment(NOON + 12 * MINUTE))


def states(series: Series) -> list[tuple[str, int, str | None]]:
    """Return (state, how many minutes, reason) of each segment."""
    return [(one.state, (one.stop - one.start) // timedelta(minutes=1), one.reason) for one in series.segments]


def covered(provider_time: ProviderTime) -> None:
    """Prove three minutes, then let seven more pass in silence."""
    provider_time.set(NOON + 3 * MINUTE)
    store(opened(1, NOON), trade(2, NOON), watermark(3, NOON + 3 * MINUTE))
    note_read("tick-data", provider_clock.steady_now())


def test_without_word_of_the_feed_its_silence_is_a_gap(btc: Market, provider_time: ProviderTime) -> None:
    covered(provider_time)
    provider_time.set(NOON + 10 * MINUTE)
    assert states(last_minutes(btc)) == [
        ("live", 3, None),
        ("gap", 5, "feed stale"),
        ("pending", 2, None),
        ("open", 1, None),
        ("pending", 1, "not begun yet"),
    ]


def test_what_is_acknowledged_and_not_read_is_pending_until_the_topic_is_read_to_its_end(
    btc: Market, provider_time: ProviderTime
) -> None:
    covered(provider_time)
    note_acknowledged(FEED, moment(NOON + 4 * MINUTE))
    provider_time.set(NOON + 10 * MINUTE)
    behind = last_minutes(btc)
    assert states(behind) == [
        ("live", 3, None),
        ("pending", 7, "backlog"),
        ("open", 1, None),
        ("pending", 1, "not begun yet"),
    ]
    assert behind.watermark == moment(NOON + 3 * MINUTE)
    note_read("tick-data", provider_clock.steady_now())
    assert states(last_minutes(btc))[1] == ("gap", 5, "feed stale")


def test_storing_what_was_acknowledged_ends_the_backlog_too(btc: Market, provider_time: ProviderTime) -> None:
    covered(provider_time)
    note_acknowledged(FEED, moment(NOON + 4 * MINUTE))
    store(watermark(4, NOON + 4 * MINUTE))
    provider_time.set(NOON + 10 * MINUTE)
    assert states(last_minutes(btc))[:2] == [("live", 4, None), ("gap", 4, "feed stale")]


def test_a_batch_stored_from_behind_does_not_move_the_watermark_past_what_is_proven(
    btc: Market, provider_time: ProviderTime
) -> None:
    covered(provider_time)
    note_acknowledged(FEED, moment(NOON + 9 * MINUTE))
    provider_time.set(NOON + 10 * MINUTE)
    store(watermark(4, NOON + 5 * MINUTE))
    assert Market.objects.get(pk=btc.pk).watermark == moment(NOON + 5 * MINUTE)


def test_a_backlog_that_begins_after_a_long_silence_does_not_take_the_watermark_back(
    btc: Market, provider_time: ProviderTime
) -> None:
    covered(provider_time)
    provider_time.set(NOON + 8 * MINUTE)
    silent = last_minutes(btc).watermark
    note_acknowledged("tick-data/two", moment(NOON + 8 * MINUTE))
    provider_time.set(NOON + 10 * MINUTE)
    behind = last_minutes(btc)
    assert silent is not None and behind.watermark is not None
    assert timedelta(0) <= behind.watermark - silent < A_MOMENT
    assert states(behind)[2] == ("pending", 4, "backlog")


def test_a_topic_read_to_its_end_before_the_last_acknowledgement_is_still_behind(
    btc: Market, provider_time: ProviderTime
) -> None:
    covered(provider_time)
    note_acknowledged(FEED, moment(NOON + 4 * MINUTE))
    note_read("tick-data", provider_clock.steady_now() - timedelta(minutes=1))
    provider_time.set(NOON + 10 * MINUTE)
    assert states(last_minutes(btc))[1] == ("pending", 7, "backlog")


def test_a_feed_speaks_for_its_own_markets_only(btc: Market, provider_time: ProviderTime) -> None:
    covered(provider_time)
    note_acknowledged("dyn-eth/one", moment(NOON + 9 * MINUTE), markets=[ETH])
    provider_time.set(NOON + 10 * MINUTE)
    assert states(last_minutes(btc))[1] == ("gap", 5, "feed stale")
    note_acknowledged("dyn-btc/one", moment(NOON + 9 * MINUTE), markets=[BTC])
    assert last_minutes(btc).segments[-3].reason == "backlog"


def test_what_is_acknowledged_after_its_topic_was_deleted_is_not_behind(
    btc: Market, provider_time: ProviderTime
) -> None:
    covered(provider_time)
    DynamicTopic.objects.create(name="dyn-btc", market=btc, state="retired", requested_at=Now(), retired_at=Now())
    note_acknowledged("dyn-btc/one", moment(NOON + 8 * MINUTE), markets=[BTC])
    note_acknowledged("dyn-btc/one", moment(NOON + 9 * MINUTE), markets=[BTC])
    provider_time.set(NOON + 10 * MINUTE)
    assert states(last_minutes(btc))[1] == ("gap", 5, "feed stale")
    forget_old_feeds(moment(NOON + 10 * MINUTE) + timedelta(days=2), days=1)
    assert not Feed.objects.filter(topic="dyn-btc").exists()


def test_an_older_acknowledgement_changes_nothing() -> None:
    note_acknowledged(FEED, moment(NOON), connected=moment(NOON - SECOND))
    before = Feed.objects.values().get()
    note_acknowledged(FEED, moment(NOON - 1))
    assert Feed.objects.values().get() == before
    assert before["topic"] == "tick-data"


def test_without_any_stamp_of_the_provider_what_is_not_proven_is_pending(btc: Market) -> None:
    execute("delete from provider_clock")
    assert states(last_minutes(btc)) == [("pending", 12, "no provider time yet")]
    store(opened(1, NOON), watermark(2, NOON + 3 * MINUTE))
    assert states(last_minutes(btc)) == [("live", 3, None), ("pending", 9, "no provider time yet")]
