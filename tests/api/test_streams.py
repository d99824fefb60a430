"""Streams over HTTP: asked for, watched step by step, renewed, ended."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.conf import settings as configured
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from coordination.models import Coordinator
from datastore.access.stream_tickets import read_ticket
from datastore.coverage.feed_progress import note_acknowledged, note_read
from datastore.models import DynamicTopic, FetchRequest, FetchSpending, Market, Stream
from datastore.reference import provider_clock
from datastore.reference.markets import ensure_markets
from datastore.reference.pairs import Listed, save_pair_list
from datastore.streams import lifecycle, topics
from tests.support.api import rows
from tests.support.api.rows import BEGAN, MINUTE, SYMBOL, Feed, at
from tests.support.datastore.records import store

pytestmark = pytest.mark.usefixtures("coordinator")
SOL = "kraken:SOL-EUR"
ADDRESS = "/api/v1/streams"


@pytest.fixture
def listed(market: Market) -> Market:
    """A provider whose list has more pairs than there are markets."""
    save_pair_list(
        "cryptocompare",
        [Listed("Kraken", "SOL", "EUR"), Listed("Coinbase", "SOL", "USD"), Listed("Coinbase", "BTC", "USD")],
    )
    return market


class Writer:
    """Asks with a key that may write."""

    def __init__(self, key: str) -> None:
        self.client = Client()
        self.headers = {"X-API-Key": key}

    def ask(self, method: str, path: str = "", body: Any = None, status: int = 200) -> Any:
        raw = "" if body is None else json.dumps(body)
        response = self.client.generic(method, f"{ADDRESS}{path}", raw, "application/json", headers=self.headers)
        assert response.status_code == status, response.content
        return {**json.loads(response.content), "Location": response.get("Location")}

    def post(self, body: Any, status: int = 202) -> Any:
        return self.ask("POST", "", body, status)


@pytest.fixture
def writer(write_key: str) -> Writer:
    return Writer(write_key)


def asked(timeframe: str = "1m", symbol: str = SOL) -> dict[str, str]:
    return {"market": symbol, "timeframe": timeframe}


def brought_live(number: int) -> DynamicTopic:
    """Play the Coordinator and the actors that it tells."""
    topic = topics.create_for(number)
    assert topic is not None
    DynamicTopic.objects.update(created_at=Now(), creator="producer-topic-2")
    topics.notify(topic)
    DynamicTopic.objects.update(routed_at=Now(), producer="producer-live-1", subscribed_at=Now(), consumer="host:7:7")
    topics.go_live(topic)
    return DynamicTopic.objects.get(pk=topic.pk)


def steps(body: Any) -> dict[str, str | None]:
    """Return who took the steps that are taken."""
    times = [step["at"] for step in body["steps"] if step["at"] is not None]
    assert times and all(abs(time - times[0]) < 600_000 for time in times)
    return {step["step"]: step["by"] for step in body["steps"] if step["at"] is not None}


def test_a_stream_is_made_with_a_lease_and_shown_where_location_says(writer: Writer, listed: Market) -> None:
    made = writer.post(asked())
    shown = writer.ask("GET", f"/{made['id']}")
    assert made["Location"] == f"{ADDRESS}/{made['id']}" == made["url"]
    assert (shown["market"], shown["timeframe"], shown["state"]) == (SOL, "1m", "requested")
    assert (shown["topic"], shown["topic_state"], shown["error"], shown["attempts"]) == (None, None, None, 0)
    assert shown["lease_until"] - shown["created"] == configured.STREAM_LEASE * 1000
    assert steps(shown) == {"requested": "key writer"}
    assert sorted(FetchRequest.objects.values_list("resolution", flat=True)) == [60, 3600, 86400]


def test_every_step_is_shown_with_its_time_and_its_actor(writer: Writer, listed: Market) -> None:
    number = writer.post(asked())["id"]
    topic = brought_live(number)
    shown = writer.ask("GET", f"/{number}")
    assert (shown["state"], shown["topic"], shown["topic_state"]) == ("live", topic.name, "live")
    taken = {
        "requested": "key writer",
        "topic_requested": "coordinator",
        "topic_created": "producer-topic-2",
        "actors_told": "coordinator",
        "routed": "producer-live-1",
        "subscribed": "host:7:7",
        "live": "coordinator",
    }
    assert steps(shown) == taken
    writer.ask("DELETE", f"/{number}", status=202)
    topics.retire(topic.pk)
    DynamicTopic.objects.update(route_ended_at=Now(), drained_at=Now())
    topics.note_deleted(topic.pk)
    ended = {
        "ended": "key writer",
        "topic_retiring": "coordinator",
        "route_ended": "producer-live-1",
        "drained": "host:7:7",
        "topic_deleted": "coordinator",
    }
    assert steps(writer.ask("GET", f"/{number}")) == {**taken, **ended}


def test_asked_for_again_it_is_the_same_and_its_lease_begins_anew(writer: Writer, listed: Market) -> None:
    made = writer.post(asked())
    Stream.objects.update(lease_until=Now() + MINUTE)
    again = writer.post({"market": "SOL/EUR", "timeframe": "1m"})
    assert again["id"] == made["id"]
    assert again["lease_until"] > made["lease_until"] - 1000
    brought_live(made["id"])
    assert writer.post(asked(), 200)["state"] == "live"
    assert writer.post(asked("5m"))["id"] != made["id"]


@pytest.mark.django_db(transaction=True)
def test_two_at_once_get_one_stream(listed: Market, write_key: str) -> None:
    def post(number: int) -> int:
        try:
            return int(Writer(write_key).post(asked())["id"])
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(post, range(8)))) == 1
    assert Stream.objects.count() == 1 and FetchRequest.objects.count() == 3


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"market": SOL, "timeframe": "1x"}, "timeframe"),
        ({"market": SOL, "timeframe": "1D"}, "timeframe"),
        ({"market": SOL}, "timeframe"),
        ({"timeframe": "1m"}, "market"),
        ({**asked(), "lease": 5}, "lease"),
        ({"market": "BTC-USD", "timeframe": "1m"}, "market"),
        ([1], "body"),
        ({"market": None, "timeframe": "1m"}, "market"),
        ({"market": SYMBOL, "timeframe": ["1m"]}, "timeframe"),
        ({"market": True, "timeframe": "1m"}, "market"),
        ({"market": 1.5, "timeframe": "1m"}, "market"),
    ],
)
def test_a_bad_body_names_what_is_bad_and_makes_nothing(writer: Writer, listed: Market, body: Any, field: str) -> None:
    Market.objects.update(followed=False)
    save_pair_list(
        "cryptocompare",
        [Listed("Coinbase", "BTC", "USD"), Listed("Kraken", "BTC", "USD"), Listed("Kraken", "SOL", "EUR")],
    )
    assert field in writer.post(body, 400)["errors"]
    assert not Stream.objects.exists()


def test_what_is_no_json_is_refused(writer: Writer, listed: Market) -> None:
    deep = b"[" * 100_000
    for raw, kind, status in (
        (b"{", "application/json", 400),
        (deep, "application/json", 400),
        (b"x", "text/plain", 415),
    ):
        response = writer.client.generic("POST", ADDRESS, raw, kind, headers=writer.headers)
        assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json")


def test_an_unknown_market_is_404_with_near_names(writer: Writer, listed: Market) -> None:
    problem = writer.post(asked(symbol="kraken:SOL-EUX"), 404)
    assert problem["type"] == "urn:candlekeep:problem:unknown-market" and SOL in problem["detail"]
    assert not Stream.objects.exists()


def test_no_more_streams_are_made_than_there_may_be(writer: Writer, listed: Market, settings: Any) -> None:
    settings.MAX_STREAMS = 1
    made = writer.post(asked())
    problem = writer.post(asked("5m"), 409)
    assert "MAX_STREAMS" in problem["detail"] and "DELETE" in problem["detail"]
    writer.post(asked())
    writer.ask("DELETE", f"/{made['id']}", status=202)
    writer.post(asked("5m"))


def test_history_beyond_the_budget_makes_no_stream(writer: Writer, listed: Market, settings: Any) -> None:
    settings.FETCH_BUDGET_PER_KEY = 2
    assert writer.post(asked(), 429)["type"] == "urn:candlekeep:problem:budget-spent"
    assert not Stream.objects.exists() and not FetchRequest.objects.exists()
    settings.FETCH_BUDGET_PER_KEY = 3
    writer.post(asked())
    assert FetchSpending.objects.get().pages == 3
    writer.post(asked("1h"))
    assert FetchSpending.objects.get().pages == 3


def test_a_lease_is_renewed_by_put_until_the_stream_has_ended(writer: Writer, listed: Market) -> None:
    made = writer.post(asked())
    Stream.objects.update(lease_until=Now() + MINUTE)
    renewed = writer.ask("PUT", f"/{made['id']}")
    assert renewed["lease_until"] >= made["lease_until"]
    ended = writer.ask("DELETE", f"/{made['id']}", status=202)
    assert ended["state"] == "ended" and ended["ended"] is not None
    problem = writer.ask("PUT", f"/{made['id']}", status=409)
    assert "POST /api/v1/streams" in problem["detail"]


def test_its_events_lead_to_its_candles_and_renew_its_lease(writer: Writer, listed: Market) -> None:
    made = writer.post(asked("5m"))
    Stream.objects.update(lease_until=Now())
    answer = Client().get(made["events_url"] + "?limit=7")
    assert answer.status_code == 307
    ticket, _ = read_ticket(parse_qs(urlsplit(answer["Location"]).query)["ticket"][0])
    assert (ticket.symbol, ticket.timeframe, ticket.limit, ticket.stream) == (SOL, "5m", 7, made["id"])
    assert ticket.again.endswith(f"/api/v1/streams/{made['id']}/events?limit=7")
    assert writer.ask("GET", f"/{made['id']}")["lease_until"] > made["created"] + 3_000_000
    writer.ask("DELETE", f"/{made['id']}", status=202)
    assert Client().get(made["events_url"]).status_code == 409


def test_to_end_it_twice_changes_nothing_more(writer: Writer, listed: Market) -> None:
    number = writer.post(asked())["id"]
    first, second = (writer.ask("DELETE", f"/{number}", status=202) for _ in range(2))
    assert first["ended"] == second["ended"] and first["state"] == "ended"
    assert writer.post(asked())["id"] != number


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_stream_that_is_not_there_is_404(writer: Writer, market: Market, method: str) -> None:
    assert "30 days" in writer.ask(method, "/999999999999999999", status=404)["detail"]


def test_a_failed_stream_says_why_and_by_what_it_ended(writer: Writer, listed: Market) -> None:
    number = writer.post(asked())["id"]
    for _ in range(3):
        topic = topics.create_for(number)
        assert topic is not None
        topics.fail(topic.pk, "no Producer took it up")
    shown = writer.ask("GET", f"/{number}")
    assert (shown["state"], shown["attempts"], shown["error"]) == ("failed", 3, "no Producer took it up")
    assert steps(shown)["ended"] == "failed after 3 tries"
    assert shown["topic_state"] == "retiring"


def test_one_that_waits_without_a_coordinator_says_so(writer: Writer, listed: Market) -> None:
    Coordinator.objects.update(owner="")
    assert "no Coordinator is running" in writer.post(asked())["error"]


def test_the_list_shows_the_newest_first_page_by_page(writer: Writer, listed: Market) -> None:
    numbers = [writer.post(asked(timeframe))["id"] for timeframe in ("1m", "5m", "1h")]
    writer.ask("DELETE", f"/{numbers[0]}", status=202)
    first = writer.ask("GET", "?limit=2")
    assert [one["id"] for one in first["streams"]] == numbers[:0:-1]
    assert first["streams"][0] == {
        name: value for name, value in writer.ask("GET", f"/{numbers[2]}").items() if name in first["streams"][0]
    }
    second = writer.ask("GET", first["next"].removeprefix(ADDRESS))
    assert [one["id"] for one in second["streams"]] == numbers[:1] and second["next"] is None
    assert [one["id"] for one in writer.ask("GET", "?state=ended")["streams"]] == numbers[:1]
    assert writer.ask("GET", f"?market={SYMBOL}")["streams"] == []
    for query, field in (("state=gone", "state"), ("limit=0", "limit"), ("cursor=x", "cursor"), ("a=1", "a")):
        assert field in writer.ask("GET", f"?{query}", status=400)["errors"]


def test_many_streams_cost_no_more_queries_than_one(
    client: Client, market: Market, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for made in ensure_markets([f"kraken:A{number}-EUR" for number in range(20)]):
        topics.create_for(lifecycle.create(made, "1m", by="key a")[0].pk)
    with django_assert_num_queries(4):  # streams, their progress, provider, its time
        assert len(rows.body_of(client, ADDRESS)["streams"]) == 20


def test_lag_is_what_is_acknowledged_and_not_stored_and_the_newest_candle_is_its_timeframe_s(
    client: Client, market: Market
) -> None:
    stream, _ = lifecycle.create(market, "5m", by="key a")
    topic = brought_live(stream.pk)
    feed, name = Feed(feed=f"{topic.name}/one"), f"{topic.name}/one"

    def shown() -> tuple[Any, ...]:
        body = rows.body_of(client, f"{ADDRESS}/{stream.pk}")
        return body["lag"], body["newest"], body["last_price"]

    assert shown() == (None, None, None)
    store(feed.opened(), feed.trade(1, "100"), feed.trade(431, "99.50"), feed.watermark(440))
    note_acknowledged(name, BEGAN + timedelta(seconds=447), markets=[SYMBOL])
    opens = at(420) // 300_000_000 * 300_000
    assert shown() == (7000, opens, "99.5")
    store(feed.watermark(447))
    note_read(topic.name, provider_clock.steady_now())
    assert shown() == (0, opens, "99.5")
    lifecycle.end(stream.pk, by="key a")
    assert shown() == (None, None, None)
