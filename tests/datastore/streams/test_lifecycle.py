"""Streams as rows: asked for, renewed, ended, and the topics that are made for them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from coordination.tasks import refresh, trim_logs
from datastore.backfill.gap_repair import scan
from datastore.backfill.quota import BudgetSpent
from datastore.ingest import market_cache
from datastore.models import DynamicTopic, FetchRequest, GapRepair, Market, Stream
from datastore.quality.freshness import doubts
from datastore.reference.markets import ensure_markets, feed_markets, follow, unfollow
from datastore.streams import lifecycle, topics
from streaming.topics import legal
from tests.datastore.conftest import ProviderTime
from tests.support.datastore.records import NOON, moment

pytestmark = pytest.mark.django_db(transaction=True)

BTC, ETH = "coinbase:BTC-USD", "coinbase:ETH-USD"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def market(db: None) -> Market:
    return unfollowed(BTC)


def unfollowed(symbol: str) -> Market:
    (market,) = ensure_markets([symbol])
    unfollow(market)
    return market


def stream(market: Market, timeframe: str = "1m", **values: Any) -> Stream:
    made, _ = lifecycle.create(market, timeframe, by="key a")
    Stream.objects.filter(pk=made.pk).update(**values)
    return Stream.objects.get(pk=made.pk)


def topic(market: Market, state: str = "live", **values: Any) -> DynamicTopic:
    number = DynamicTopic.objects.count() + 1000
    name = topics.topic_name(market, number)
    return DynamicTopic.objects.create(
        pk=number, name=name, market=market, state=state, **{"requested_at": timezone.now(), **values}
    )


def test_the_same_market_and_timeframe_are_one_stream_whose_lease_is_renewed(market: Market) -> None:
    first = stream(market, lease_until=Now() + MINUTE)
    again, is_new = lifecycle.create(market, "1m", by="key b")
    assert (again.pk, is_new, again.asked_by) == (first.pk, False, "key a")
    assert again.lease_until > first.lease_until + 50 * MINUTE
    other, is_new = lifecycle.create(market, "5m", by="key b")
    assert is_new and other.pk != first.pk


def test_many_askers_at_once_make_one_stream(market: Market) -> None:
    def ask(number: int) -> tuple[int, bool]:
        try:
            made, is_new = lifecycle.create(market, "1m", by=f"key {number}")
            return made.pk, is_new
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(ask, range(12)))
    assert len({pk for pk, _ in found}) == 1 == sum(is_new for _, is_new in found)


def test_askers_at_once_make_no_more_streams_than_there_may_be(settings: Any) -> None:
    settings.MAX_STREAMS = 3
    markets = [unfollowed(f"coinbase:A{number}-USD") for number in range(8)]

    def ask(market: Market) -> bool:
        try:
            return lifecycle.create(market, "1m", by="key a")[1]
        except lifecycle.TooManyStreams:
            return False
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(ask, markets)) == 3
    assert Stream.objects.count() == 3


def test_a_stream_beyond_the_limit_is_refused_and_one_that_is_there_is_renewed(market: Market, settings: Any) -> None:
    settings.MAX_STREAMS = 1
    made = stream(market)
    with pytest.raises(lifecycle.TooManyStreams):
        lifecycle.create(market, "5m", by="key a")
    assert lifecycle.create(market, "1m", by="key a") == (made, False)
    assert lifecycle.end(made.pk, by="key a")
    assert lifecycle.create(market, "5m", by="key a")[1], "one that has ended makes room"


def test_only_an_alive_stream_is_renewed_and_ended(market: Market) -> None:
    made = stream(market, lease_until=Now() + MINUTE)
    assert lifecycle.renew(made.pk) and Stream.objects.get().lease_until > made.lease_until
    assert lifecycle.end(made.pk, by="key b")
    assert not lifecycle.renew(made.pk) and not lifecycle.end(made.pk, by="key c")
    ended = Stream.objects.get()
    assert (ended.state, ended.ended_by, ended.ended_at is not None) == ("ended", "key b", True)


def test_a_stream_whose_lease_ran_out_ends_and_says_so(market: Market) -> None:
    over, held = stream(market, lease_until=Now() - MINUTE), stream(market, "5m")
    assert (lifecycle.expire(), lifecycle.expire()) == (1, 0)
    assert Stream.objects.get(pk=over.pk).ended_by == "its lease ran out"
    assert Stream.objects.get(pk=held.pk).state == "requested"


def test_the_first_stream_of_a_market_asks_for_its_newest_candles_and_a_second_does_not(market: Market) -> None:
    stream(market)
    assert sorted(FetchRequest.objects.values_list("resolution", flat=True)) == [60, 3600, 86400]
    FetchRequest.objects.all().delete()
    stream(market, "1h")
    assert not FetchRequest.objects.exists()


def test_a_followed_market_needs_no_asking(market: Market) -> None:
    follow(market)
    stream(market)
    assert not FetchRequest.objects.exists()


def test_what_is_beyond_the_budget_makes_no_stream(market: Market) -> None:
    def spend(pages: int) -> None:
        raise BudgetSpent(pages, 0, 1)

    with pytest.raises(BudgetSpent):
        lifecycle.create(market, "1m", by="key a", spend=spend)
    assert not Stream.objects.exists() and not FetchRequest.objects.exists()


@pytest.mark.parametrize(
    ("symbol", "name"),
    [(BTC, "dyn-coinbase-BTC-USD-g7"), ("a_b.c:1*X-Y._Z", "dyn-a-b-c-1-X-Y--Z-g7")],
)
def test_a_topic_is_named_as_every_broker_takes_it(symbol: str, name: str) -> None:
    made = topics.topic_name(unfollowed(symbol), 7)
    assert made == legal(made) == name


def test_a_topic_s_number_is_never_used_twice_even_where_its_row_is_gone(market: Market) -> None:
    names = set()
    for _ in range(3):
        made = topics.make(stream(market).pk)
        assert made is not None
        names.add(made.name)
        assert made.name.endswith(f"-g{made.pk}")
        DynamicTopic.objects.all().delete()
    assert len(names) == 3


def test_a_topic_is_given_to_every_stream_of_its_market(market: Market) -> None:
    one, two, other = stream(market), stream(market, "5m"), stream(unfollowed(ETH))
    made = topics.make(one.pk)
    assert made is not None
    given = dict(Stream.objects.values_list("pk", "topic"))
    assert given == {one.pk: made.pk, two.pk: made.pk, other.pk: None}


def test_no_topic_is_made_for_a_stream_that_was_ended_meanwhile(market: Market) -> None:
    made = stream(market)
    lifecycle.end(made.pk, by="key a")
    assert topics.make(made.pk) is None and not DynamicTopic.objects.exists()


def test_a_failed_try_waits_longer_each_time_and_the_last_fails_the_stream(market: Market) -> None:
    made = stream(market)
    waits = []
    for attempt in (1, 2, 3):
        held = topics.make(made.pk)
        assert held is not None and topics.fail(held.pk, "nobody came")
        assert not topics.fail(held.pk, "twice")
        found = Stream.objects.get()
        assert (found.attempts, found.error) == (attempt, "nobody came")
        waits.append(Stream.objects.annotate(wait=F("next_try") - Now()).values_list("wait", flat=True).get())
        assert DynamicTopic.objects.get(pk=held.pk).error == "nobody came"
    assert Stream.objects.get().state == "failed" and Stream.objects.get().ended_at is not None
    assert [wait and round(wait.total_seconds() / 5) for wait in waits] == [1, 4, None]


def test_a_market_is_kept_as_long_as_it_has_an_alive_topic(market: Market) -> None:
    ensure_markets([ETH])
    assert [one.symbol for one in feed_markets()] == [ETH]
    for state in ("creating", "notifying", "live"):
        made = topic(market, state)
        assert [one.symbol for one in feed_markets()] == [BTC, ETH]
        DynamicTopic.objects.filter(pk=made.pk).update(state="retiring")
        assert [one.symbol for one in feed_markets()] == [ETH]


def test_a_kept_market_is_scanned_refreshed_and_confirmed_and_not_asked_after_by_health(
    market: Market, provider_time: ProviderTime
) -> None:
    assert scan() == []
    made = topic(market)
    provider_time.set(NOON)
    assert [change.market for change in scan()] == [BTC]
    refresh()
    assert set(FetchRequest.objects.values_list("resolution", flat=True)) == {3600, 86400}
    assert market_cache.write_followed() == 1
    assert doubts() == {}
    DynamicTopic.objects.filter(pk=made.pk).update(state="retiring")
    assert scan() == [] and market_cache.write_followed() == 0


def hole(market: Market, final: bool = False) -> None:
    start = moment(NOON)
    GapRepair.objects.create(market=market, resolution=60, start=start, stop=start + MINUTE, reason="x", final=final)


def test_the_holes_of_a_market_are_forgotten_when_nothing_keeps_it_any_more(market: Market) -> None:
    made = topic(market)
    follow(market)
    hole(market)
    hole(market, final=True)
    unfollow(market)
    assert GapRepair.objects.count() == 2, "its topic is alive"
    assert topics.retire(made.pk)
    assert [row.final for row in GapRepair.objects.all()] == [True]
    assert Market.objects.get(pk=market.pk).version == 1


def test_a_topic_that_a_stream_needs_again_does_not_retire(market: Market) -> None:
    made = topic(market)
    stream(market)
    assert not topics.retire(made.pk)
    assert DynamicTopic.objects.get().state == "live"


TOLD = {"created_at": Now(), "notified_at": Now()}


@pytest.mark.parametrize(
    ("columns", "over"),
    [
        ({"create_error": "the name was used before"}, True),
        ({"created_at": Now()}, True),
        ({}, False),
        ({"retiring_at": Now() - 31 * timedelta(seconds=1)}, True),
        (TOLD, False),
        ({**TOLD, "route_ended_at": Now()}, False),
        ({**TOLD, "route_ended_at": Now(), "drained_at": Now()}, True),
        ({**TOLD, "retiring_at": Now() - timedelta(seconds=31)}, False),
        ({**TOLD, "retiring_at": Now() - timedelta(seconds=61)}, True),
        ({**TOLD, "retiring_at": Now() - timedelta(seconds=61), "route_ended_at": Now()}, False),
        ({**TOLD, "retiring_at": Now() - timedelta(seconds=31), "drained_at": Now()}, True),
    ],
)
def test_a_topic_is_deleted_when_its_actors_are_done_or_have_had_their_time(
    market: Market, columns: dict[str, Any], over: bool
) -> None:
    made = topic(market, "retiring", retiring_at=timezone.now())
    DynamicTopic.objects.filter(pk=made.pk).update(**{"retiring_at": Now(), **columns})
    assert topics.to_do().over == ((made.pk,) if over else ())


def test_old_ended_streams_and_retired_topics_are_trimmed(market: Market) -> None:
    old = timezone.now() - timedelta(days=31)
    gone = topic(market, "retired", retired_at=old)
    stream(market, state="ended", ended_at=old, topic=gone)
    recent = stream(market, state="failed", ended_at=old + timedelta(days=2), topic=gone)
    alive = stream(market)
    trim_logs()
    assert set(Stream.objects.values_list("pk", flat=True)) == {recent.pk, alive.pk}
    assert not DynamicTopic.objects.exists()
