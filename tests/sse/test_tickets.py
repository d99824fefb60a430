"""Who may follow: tickets, keys, sessions, pages of other origins."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.db.models.functions import Now

from datastore.access import stream_tickets
from datastore.access.api_keys import revoke_key
from datastore.access.stream_tickets import TicketAge, read_ticket
from datastore.models import ApiKey, Stream
from datastore.sse.server import StreamServer
from tests.support.api.keys import saved_key
from tests.support.polling import until
from tests.support.sse.scenario import MarketScenario, shown
from tests.support.sse.server import streaming

pytestmark = pytest.mark.django_db(transaction=True)
SOON = 60  # seconds; a busy machine


def ask(url: str, **more: Any) -> httpx.Response:
    return httpx.get(url, timeout=30, **more)


def led(url: str, scenario: MarketScenario, path: str = "candles/stream", **headers: str) -> httpx.Response:
    return ask(f"{url}/api/v1/{path}?market={scenario.market.symbol}&timeframe=1m", headers=headers)


def head(location: str, **more: Any) -> httpx.Response:
    """Ask for the stream and read only its head."""
    with httpx.stream("GET", location, timeout=30, **more) as answer:
        if answer.status_code != 200:
            answer.read()
        return answer


def test_the_api_leads_with_a_ticket_that_names_series_place_and_key(
    live_server: Any, settings: Any, scenario: MarketScenario
) -> None:
    settings.SSE_URL = "https://candles.example.org/live"
    key = saved_key("reader", ApiKey.Scope.READ)
    answer = led(live_server.url, scenario, **{"Last-Event-ID": "there", "X-API-Key": key})
    assert answer.status_code == 307 and answer.headers["Cache-Control"] == "no-store"
    location = httpx.URL(answer.headers["Location"])
    assert str(location).startswith("https://candles.example.org/live/stream/candles?ticket=")
    ticket, age = read_ticket(location.params["ticket"])
    assert age is TicketAge.FRESH
    assert (ticket.market, ticket.timeframe, ticket.cursor) == (scenario.market.pk, "1m", "there")
    assert ticket.key == ApiKey.objects.get().prefix and ticket.stream is None


def test_what_cannot_be_followed_is_refused_as_the_api_refuses(
    live_server: Any, settings: Any, scenario: MarketScenario
) -> None:
    base = f"{live_server.url}/api/v1/candles/stream"
    assert ask(f"{base}?market=coinbase:NONE-SUCH&timeframe=1m").status_code == 404
    bad = ask(f"{base}?market={scenario.market.symbol}&timeframe=1x")
    assert bad.status_code == 400 and bad.headers["Content-Type"] == "application/problem+json"
    settings.REQUIRE_API_KEY = True
    assert led(live_server.url, scenario).status_code == 401


def test_the_stream_process_refuses_what_is_no_ticket(server: StreamServer, settings: Any) -> None:
    base = f"http://127.0.0.1:{settings.SSE_PORT}"
    for answer in (head(f"{base}/stream/candles"), head(f"{base}/stream/candles?ticket=x.y.z")):
        assert answer.status_code == 403 and answer.headers["Content-Type"] == "application/problem+json"
        assert "GET /api/v1/candles/stream" in json.loads(answer.content)["detail"]
    assert httpx.post(f"{base}/stream/candles").status_code == 405
    assert httpx.get(f"{base}/").status_code == 404
    assert httpx.get(f"{base}/health/live").status_code == 200


def test_whoever_comes_with_a_ticket_that_ran_out_is_led_back_and_gets_there(
    live_server: Any, server: StreamServer, scenario: MarketScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor = shown(scenario.market, "1m")["cursor"]
    location = led(live_server.url, scenario, **{"Last-Event-ID": cursor}).headers["Location"]
    with monkeypatch.context() as later:
        later.setattr(stream_tickets, "TICKET_TTL_S", -1)
        back = head(location)
        later.setattr(stream_tickets, "RESUME_TTL_S", -1)
        assert head(location, headers={"Last-Event-ID": cursor}).status_code == 307
    assert back.status_code == 307
    again = httpx.URL(back.headers["Location"])
    assert again.path == "/api/v1/candles/stream" and again.params["cursor"] == cursor
    assert head(str(again), follow_redirects=True).status_code == 200


def test_an_old_ticket_goes_on_with_its_stream_as_long_as_its_owner_may_read(
    live_server: Any, server: StreamServer, settings: Any, scenario: MarketScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = saved_key("reader", ApiKey.Scope.READ)
    reader = User.objects.create_user("ada")
    place = {"Last-Event-ID": shown(scenario.market, "1m")["cursor"]}
    anybody = led(live_server.url, scenario).headers["Location"]
    holder = led(live_server.url, scenario, **{"X-API-Key": text}).headers["Location"]
    ticket, _ = read_ticket(httpx.URL(anybody).params["ticket"])
    user = anybody.partition("?")[0] + f"?ticket={stream_tickets.sign_ticket(replace(ticket, user=reader.pk))}"
    monkeypatch.setattr(stream_tickets, "TICKET_TTL_S", -1)

    def statuses() -> list[int]:
        return [head(location, headers=place).status_code for location in (anybody, holder, user)]

    assert statuses() == [200, 200, 200]
    settings.REQUIRE_API_KEY = True
    assert statuses() == [307, 200, 200]
    revoke_key(ApiKey.objects.get())
    User.objects.update(is_active=False)
    assert statuses() == [307, 307, 307]


def test_a_revoked_key_ends_its_streams(live_server: Any, settings: Any, scenario: MarketScenario) -> None:
    settings.REQUIRE_API_KEY = True
    text = saved_key("reader", ApiKey.Scope.READ)
    with streaming(settings, renew=1) as server:
        location = led(live_server.url, scenario, **{"X-API-Key": text}).headers["Location"]
        with httpx.stream("GET", location, timeout=30) as answer:
            until("it follows", lambda: len(server.hub), SOON)
            revoke_key(ApiKey.objects.get())
            for _ in answer.iter_raw():
                pass  # up to its end


def test_a_stream_that_is_followed_keeps_its_lease(
    live_server: Any, settings: Any, scenario: MarketScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Stream.objects.create(market=scenario.market, timeframe="1m", lease_until=Now(), created_at=Now())
    before = Stream.objects.get().lease_until
    with streaming(settings, renew=1):
        ticket, _ = read_ticket(httpx.URL(led(live_server.url, scenario).headers["Location"]).params["ticket"])
        named = stream_tickets.sign_ticket(replace(ticket, stream=stream.pk))
        with httpx.stream("GET", f"http://127.0.0.1:{settings.SSE_PORT}/stream/candles?ticket={named}", timeout=30):
            until("it is renewed", lambda: Stream.objects.get().lease_until > before, SOON)


PAGE = "https://charts.example.org"


@pytest.mark.parametrize(
    ("origin", "asked_by", "allowed"),
    [
        (PAGE, PAGE, PAGE),
        ("null", PAGE, "null"),  # a browser led from one foreign origin to another says so
        ("null", None, None),
        ("https://evil.example", None, None),
    ],
)
def test_pages_that_may_read_the_api_may_read_its_streams(
    live_server: Any,
    server: StreamServer,
    settings: Any,
    scenario: MarketScenario,
    origin: str,
    asked_by: str,
    allowed: str,
) -> None:
    settings.CORS_ALLOWED_ORIGINS = [PAGE]
    headers = {"Origin": asked_by} if asked_by else {}
    location = led(live_server.url, scenario, **headers).headers["Location"]
    answer = head(location, headers={"Origin": origin})
    assert answer.headers.get("Access-Control-Allow-Origin") == allowed
    own = head(location, headers={"Origin": live_server.url})
    assert own.headers["Access-Control-Allow-Origin"] == live_server.url
    assert own.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert (own.headers["Cache-Control"], own.headers["X-Accel-Buffering"]) == ("no-cache", "no")
    asked = httpx.options(location, headers={"Origin": PAGE, "Access-Control-Request-Method": "GET"})
    assert asked.status_code == 204 and "last-event-id" in asked.headers["Access-Control-Allow-Headers"]
