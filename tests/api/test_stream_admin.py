"""Streams and topics where people look at them: the admin, the Coordinator's page, `manage.py status`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from config.monitoring.status import overview
from coordination.models import Coordinator
from datastore.models import DynamicTopic, Market, Stream
from datastore.reference.markets import ensure_markets
from datastore.streams import lifecycle, topics
from tests.support.api.admin_pages import page

LIST = reverse("admin:datastore_stream_changelist")


@pytest.fixture
def stream(market: Market) -> Stream:
    """A stream whose topic's actors were notified, and one that has not notified them yet."""
    made, _ = lifecycle.create(market, "5m", by="key grafana")
    topic = topics.create_for(made.pk)
    assert topic is not None
    DynamicTopic.objects.update(created_at=Now(), creator="producer-topic-1")
    topics.notify(topic)
    DynamicTopic.objects.update(routed_at=Now(), producer="producer-live-1")
    return Stream.objects.get()


def end(client: Client, *numbers: int) -> Any:
    chosen = {"action": "end_streams", "_selected_action": list(numbers), "confirmed": "yes"}
    return client.post(LIST, chosen, follow=True)


def test_a_stream_s_page_shows_every_step_with_its_actor(root: Client, stream: Stream) -> None:
    html = page(root, Stream, "change", stream.pk)
    for told in ("key grafana", "producer-topic-1", "producer-live-1", "topic deleted", str(stream.topic)):
        assert told in html
    assert "routed" in page(root, Stream) and str(stream.topic) in page(root, Stream)


def test_a_topic_s_page_shows_its_steps_and_its_streams(root: Client, stream: Stream) -> None:
    html = page(root, DynamicTopic, "change", stream.topic_id)
    assert "producer-live-1" in html and f"{stream.pk}: 5m requested" in html
    assert "routed" in page(root, DynamicTopic)


def test_streams_are_ended_by_those_who_may(root: Client, stream: Stream, market: Market) -> None:
    over, _ = lifecycle.create(market, "1d", by="key a")
    lifecycle.end(over.pk, by="key a")
    html = end(root, stream.pk, over.pk).content.decode()
    assert "1 ended" in html and "1 had ended before" in html
    found = Stream.objects.get(pk=stream.pk)
    assert (found.state, found.ended_by) == ("ended", "root (admin)")


@pytest.mark.parametrize(("names", "state"), [(["view_stream"], "requested"), (["view_stream", "end_stream"], "ended")])
def test_looking_alone_ends_nothing(db: None, stream: Stream, names: list[str], state: str) -> None:
    user = User.objects.create_user("ada", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client = Client()
    client.force_login(user)
    end(client, stream.pk)
    assert Stream.objects.get().state == state


def test_lists_cost_no_more_queries_with_many_rows(
    root: Client,
    market: Market,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for made in ensure_markets([f"kraken:A{number}-EUR" for number in range(20)]):
        topics.create_for(lifecycle.create(made, "1m", by="key a")[0].pk)
    for model in (Stream, DynamicTopic):
        with django_assert_max_num_queries(12):
            assert page(root, model).count("-EUR") >= 20


def test_the_coordinator_s_page_shows_what_is_in_hand_what_waits_and_what_retires(
    root: Client,
    stream: Stream,
    market: Market,
) -> None:
    coordinator = Coordinator.objects.create(name="coordinator-1")
    eth, kraken = ensure_markets(["coinbase:ETH-USD", "kraken:BTC-USD"])
    waits, _ = lifecycle.create(eth, "1h", by="key a")
    failed, _ = lifecycle.create(kraken, "1m", by="key a")
    given_up = topics.create_for(failed.pk)
    assert given_up is not None
    topics.fail(given_up.pk, "nobody came")
    html = page(root, Coordinator, "change", coordinator.pk)
    order = [str(stream.topic), f"stream {waits.pk}:", f"stream {failed.pk}:", given_up.name]
    places = [html.index(one) for one in order]
    assert places == sorted(places)
    assert "waiting after 1 tries, not before" in html and "nobody came" in html


def test_an_idle_coordinator_s_queue_is_empty(root: Client) -> None:
    coordinator = Coordinator.objects.create(name="coordinator-1")
    assert "Nothing." in page(root, Coordinator, "change", coordinator.pk)


def test_status_shows_alive_streams_with_their_lease_and_counts_the_failed(stream: Stream, market: Market) -> None:
    Stream.objects.update(lease_until=Now() + timedelta(minutes=30, seconds=30))
    gone, _ = lifecycle.create(market, "1d", by="key a")
    Stream.objects.filter(pk=gone.pk).update(state="failed")
    told = overview(160)
    (line,) = [line for line in told.splitlines() if "coinbase:BTC-USD 5m" in line]
    assert f"requested, notifying {stream.topic} 30 min" in " ".join(line.split())
    assert "1 failed within 30 days" in told and f"{gone.pk}: " not in told


def test_status_without_streams_says_nothing_of_them(market: Market) -> None:
    assert "STREAM" not in overview(160)
