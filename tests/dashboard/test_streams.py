"""The pages of streams: what they show, and who may make and end one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cachetools import LRUCache
from django.http import QueryDict
from django.test import Client
from redis.exceptions import ConnectionError as CacheAway

from config.monitoring.cached_answer import CachedAnswer
from coordination.models import Coordinator
from dashboard import pages
from dashboard.stream_list import followers, open_topics, streams_asked
from datastore.access.shared_cache import SharedCache
from datastore.models import DynamicTopic, Market, Stream
from datastore.reference.pairs import Listed, save_pair_list
from datastore.sse import follower_counts
from datastore.streams import lifecycle, topics
from tests.support.api.rows import SYMBOL
from tests.support.dashboard.reading import XSS, XSS_SHOWN, shown, written

pytestmark = pytest.mark.django_db


def live(market: Market, timeframe: str = "1m") -> Stream:
    stream, _ = lifecycle.create(market, timeframe, "key test")
    topics.attach()
    if not Stream.objects.filter(pk=stream.pk, state="live").exists():
        topic = topics.create_for(stream.pk)
        assert topic is not None
        topics.notify(topic)
        topics.go_live(topic)
    return Stream.objects.get(pk=stream.pk)


def test_without_streams_the_page_says_how_to_get_one(client: Client, market: Market) -> None:
    assert "Nobody has asked for a stream yet" in shown(client, "/streams")


def test_a_stream_is_shown_with_its_topic_and_its_steps(client: Client, market: Market) -> None:
    stream = live(market)
    page = shown(client, "/streams")
    assert f'href="/streams/{stream.pk}"' in page
    assert SYMBOL in page
    assert DynamicTopic.objects.get().name in page
    steps = shown(client, f"/streams/{stream.pk}")
    for words in ("Requested", "by key test", "Topic asked for", "Producer and consumer notified", "not yet"):
        assert words in steps
    assert f"http://testserver/api/v1/streams/{stream.pk}/events" in shown(client, f"/streams/{stream.pk}?part=1")


def test_readers_share_what_is_written_and_staff_see_what_is_so_now(
    client: Client, staff: Client, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "_shared", SharedCache(LRUCache(10)))
    monkeypatch.setattr(pages, "CachedAnswer", lambda compute, times: CachedAnswer(compute, times=-1000))  # for long
    assert "Nobody has asked for a stream yet" in shown(client, "/streams?part=1")
    live(market)
    assert "Nobody has asked for a stream yet" in shown(Client(), "/streams?part=1")
    for asked in (
        shown(staff, "/streams?part=1"),
        shown(client, "/streams?state=live&part=1"),
        shown(client, "/streams"),
    ):
        assert SYMBOL in asked


def test_a_stream_that_is_not_there_is_a_page_with_a_way_back(client: Client, market: Market) -> None:
    assert 'href="/streams"' in shown(client, "/streams/999", 404)


def test_a_part_refreshes_itself_with_the_filter_of_its_page(client: Client, market: Market) -> None:
    live(market)
    assert 'hx-get="/streams?state=failed&amp;part=1"' in shown(client, "/streams?state=failed")
    part = shown(client, "/streams?state=failed&part=1")
    assert "No stream is like that" in part
    assert "<html" not in part


def test_only_staff_see_the_form_and_may_write(client: Client, staff: Client, market: Market) -> None:
    stream = live(market)
    assert "data-send" not in shown(client, "/streams")
    assert "data-post" not in shown(client, f"/streams/{stream.pk}")
    assert "data-send" in shown(staff, "/streams")
    body = json.dumps({"market": SYMBOL, "timeframe": "5m"})
    written(client, "/api/v1/streams", 401, body=body)
    written(client, f"/api/v1/streams/{stream.pk}", 401, "DELETE")
    written(staff, "/api/v1/streams", 202, body=body)
    written(staff, f"/api/v1/streams/{stream.pk}", 202, "DELETE")
    assert "Ended" in shown(client, f"/streams/{stream.pk}")


def test_markets_are_suggested_those_with_data_first(client: Client, market: Market) -> None:
    save_pair_list("cryptocompare", [Listed("Coinbase", "SOL", "USD"), Listed("Coinbase", "BTC", "USD")])
    options = shown(client, "/streams/markets?market=coinbase")
    assert options.index(SYMBOL) < options.index("coinbase:SOL-USD")


def test_a_text_of_others_stays_text(client: Client, market: Market) -> None:
    stream = live(market)
    Stream.objects.filter(pk=stream.pk).update(asked_by=XSS, error=XSS)
    for address in ("/streams", f"/streams/{stream.pk}"):
        page = shown(client, address)
        assert XSS not in page
        assert XSS_SHOWN in page


def test_a_hundred_streams_are_a_page(client: Client, market: Market) -> None:
    one = live(market)
    values = {"market": market, "timeframe": "1h", "lease_until": one.lease_until, "created_at": one.created_at}
    Stream.objects.bulk_create(Stream(**values, state=Stream.State.ENDED) for _ in range(100))
    first = shown(client, "/streams")
    assert first.count('<tr id="stream-') == 100
    assert 'href="?page=2"' in first
    assert shown(client, "/streams?page=2").count('<tr id="stream-') == 1
    assert "No stream" not in shown(client, "/streams?page=nonsense")


def test_the_statements_are_as_many_for_many_streams(
    client: Client, market: Market, coordinator: Coordinator, count_statements: Any
) -> None:
    live(market)
    few = count_statements(client, "/streams")
    for other in Market.objects.exclude(pk=market.pk):
        for timeframe in ("1m", "5m"):
            live(other, timeframe)
    assert count_statements(client, "/streams") == few


def test_each_stream_and_topic_shows_who_follows_it(
    client: Client, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    minutes, hours = live(market), live(market, "1h")
    for process, count, streams in (("one", 4, {minutes.pk: 1, hours.pk: 2}), ("two", 40, {minutes.pk: 30})):
        monkeypatch.setattr(follower_counts, "this_process", lambda name=process: name)
        follower_counts.publish_follower_count(count, streams)
    assert followers() == 44
    rows = {row.stream.timeframe: row.followers for row in streams_asked(QueryDict())[0].rows}
    assert rows == {"1m": 31, "1h": 2}
    assert [(row.alive, row.followers) for row in open_topics()] == [(2, 33)]
    assert "<dt>Followers</dt><dd>31</dd>" in shown(client, f"/streams/{minutes.pk}")


def test_without_a_cache_the_followers_are_unknown(
    client: Client, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> Any:
        raise CacheAway("refused")

    stream = live(market)
    monkeypatch.setattr(follower_counts, "ask_counters", away)
    assert "<dt>Followers</dt><dd>unknown</dd>" in shown(client, f"/streams/{stream.pk}")
    assert [row.followers for row in open_topics()] == [None]
