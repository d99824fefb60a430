"""Who may do what: every route is asked by everybody."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.test import Client, RequestFactory

from datastore.access import api_keys
from datastore.api import urls
from datastore.api.auth.permissions import may_read
from datastore.api.binance import urls as binance_urls
from datastore.api.udf import urls as udf_urls
from datastore.models import ApiKey, Market
from tests.support.api.keys import saved_key
from tests.support.api.routes import served
from tests.support.api.rows import NOW, SYMBOL

NOW_S = int(NOW.timestamp())
SERIES = f"market={SYMBOL}&timeframe=1m"
BARS = f"symbol={SYMBOL}&resolution=1&from={NOW_S - 600}&to={NOW_S}"
V3, KLINES = "/binance/api/v3", f"symbol={SYMBOL}&interval=1m&limit=5"
# Every route and method of the API, and a question of it that does no harm. What is missing here fails a test.
ROUTES: dict[tuple[str, str], str] = {
    ("", "GET"): "",
    ("candles", "GET"): f"candles?{SERIES}&wait=0",
    ("candles/stream", "GET"): f"candles/stream?{SERIES}",
    ("coverage", "GET"): f"coverage?{SERIES}",
    ("trades", "GET"): f"trades?market={SYMBOL}",
    ("markets", "GET"): "markets",
    ("markets", "POST"): "markets",
    ("tickers", "GET"): "tickers",
    ("tickers/stream", "GET"): "tickers/stream",
    ("dead-letters", "GET"): "dead-letters",
    ("markets/<path:asked>", "GET"): f"markets/{SYMBOL}",
    ("markets/<path:asked>", "DELETE"): f"markets/{SYMBOL}",
    ("^requests/(?P<number>[0-9]{1,18})$", "GET"): "requests/1",
    ("backfill", "POST"): "backfill",
    ("^gaps/(?P<number>[0-9]{1,18})/retry$", "POST"): "gaps/1/retry",
    ("streams", "GET"): "streams",
    ("streams", "POST"): "streams",
    ("^streams/(?P<number>[0-9]{1,18})$", "GET"): "streams/1",
    ("^streams/(?P<number>[0-9]{1,18})$", "PUT"): "streams/1",
    ("^streams/(?P<number>[0-9]{1,18})/events$", "GET"): "streams/1/events",
    ("^streams/(?P<number>[0-9]{1,18})$", "DELETE"): "streams/1",
    ("^dead-letters/(?P<number>[0-9]{1,18})$", "GET"): "dead-letters/1",
    ("^dead-letters/(?P<number>[0-9]{1,18})/replay$", "POST"): "dead-letters/1/replay",
    ("actors", "GET"): "actors",
    ("actors/log", "GET"): "actors/log",
    ("actors/<str:kind>/<str:name>", "GET"): "actors/producer/nobody",
    ("actors/<str:kind>/<str:name>/reset", "POST"): "actors/producer/nobody/reset",
    ("schema", "GET"): "schema",
    ("docs", "GET"): "docs",
    ("/udf/config", "GET"): "/udf/config",
    ("/udf/time", "GET"): "/udf/time",
    ("/udf/symbols", "GET"): f"/udf/symbols?symbol={SYMBOL}",
    ("/udf/search", "GET"): "/udf/search?query=BTC",
    ("/udf/history", "GET"): f"/udf/history?{BARS}",
    ("/udf/marks", "GET"): f"/udf/marks?{BARS}",
    ("/udf/timescale_marks", "GET"): f"/udf/timescale_marks?{BARS}",
    ("/binance/api/v3/ping", "GET"): f"{V3}/ping",
    ("/binance/api/v3/time", "GET"): f"{V3}/time",
    ("/binance/api/v3/exchangeInfo", "GET"): f"{V3}/exchangeInfo",
    ("/binance/api/v3/klines", "GET"): f"{V3}/klines?{KLINES}",
    ("/binance/api/v3/uiKlines", "GET"): f"{V3}/uiKlines?{KLINES}",
    ("/binance/api/v3/ticker/price", "GET"): f"{V3}/ticker/price?symbol={SYMBOL}",
    ("/binance/api/v3/ticker/24hr", "GET"): f"{V3}/ticker/24hr?symbol={SYMBOL}",
    ("/binance/api/v3/trades", "GET"): f"{V3}/trades?symbol={SYMBOL}",
    ("/binance/api/v3/aggTrades", "GET"): f"{V3}/aggTrades?symbol={SYMBOL}",
}


def test_every_route_is_asked_here() -> None:
    others = [*served(udf_urls.urlpatterns, "/udf/"), *served(binance_urls.urlpatterns, "/binance/")]
    assert set(ROUTES) == {*served(urls.urlpatterns), *others}


@dataclass
class Asker:
    """One who asks: a client and the headers it sends."""

    client: Client = field(default_factory=lambda: Client(enforce_csrf_checks=True))
    headers: dict[str, str] = field(default_factory=dict)

    def ask(self, route: tuple[str, str]) -> Any:
        address = ROUTES[route] if ROUTES[route].startswith("/") else f"/api/v1/{ROUTES[route]}"
        return self.client.generic(route[1], address, b"{}", "application/json", headers=self.headers)


def nobody() -> Asker:
    return Asker()


def malformed() -> Asker:
    return Asker(headers={"Authorization": "Bearer nonsense"})


def unknown() -> Asker:
    return Asker(headers={"X-API-Key": api_keys.make_key("x", "write")[1]})


def revoked() -> Asker:
    text = saved_key("old", ApiKey.Scope.WRITE)
    api_keys.revoke_key(ApiKey.objects.get(name="old"))
    return Asker(headers={"Authorization": f"Bearer {text}"})


def reader() -> Asker:
    return Asker(headers={"Authorization": f"bearer {saved_key('reader', ApiKey.Scope.READ)}"})


def writer() -> Asker:
    return Asker(headers={"X-API-Key": saved_key("writer", ApiKey.Scope.WRITE)})


def signed_in(is_staff: bool, token: bool = True) -> Asker:
    asker = Asker()
    asker.client.force_login(User.objects.create_user("ada", is_staff=is_staff, is_superuser=True))
    asker.client.get("/admin/" if is_staff else "/admin/login/")  # sets the CSRF cookie
    if token:
        asker.headers["X-CSRFToken"] = asker.client.cookies["csrftoken"].value
    return asker


def staff() -> Asker:
    return signed_in(is_staff=True)


def staff_without_token() -> Asker:
    return signed_in(is_staff=True, token=False)


def user_who_is_not_staff() -> Asker:
    return signed_in(is_staff=False)


WITHOUT_A_PRICE = {("/binance/api/v3/ticker/price", "GET")}  # no price is known of an empty market
LET_IN = None  # any other answer than 401 and 403
RULES: list[tuple[Callable[[], Asker], tuple[int | None, int | None, int | None]]] = [
    # asker, reading where it is open, reading where a key is required, writing
    (nobody, (LET_IN, 401, 401)),
    (malformed, (401, 401, 401)),
    (unknown, (401, 401, 401)),
    (revoked, (401, 401, 401)),
    (reader, (LET_IN, LET_IN, 403)),
    (writer, (LET_IN, LET_IN, LET_IN)),
    (staff, (LET_IN, LET_IN, LET_IN)),
    (staff_without_token, (LET_IN, LET_IN, 403)),
    (user_who_is_not_staff, (LET_IN, LET_IN, 403)),
]


@pytest.mark.parametrize("required", [False, True])
@pytest.mark.parametrize(("make", "rule"), RULES, ids=[make.__name__ for make, _ in RULES])
def test_every_route_keeps_the_rule_for_every_asker(
    market: Market, settings: Any, make: Callable[[], Asker], rule: tuple[int | None, ...], required: bool
) -> None:
    settings.REQUIRE_API_KEY = required
    asker = make()
    for route in ROUTES:
        expected = rule[required] if route[1] == "GET" else rule[2]
        response = asker.ask(route)
        found = response.status_code if response.status_code in (401, 403) else LET_IN
        assert found == expected, (route, response.status_code, response.content)
        assert response.status_code < 500 or route in WITHOUT_A_PRICE
        if found is not LET_IN:
            refused(route[0], response)


def refused(route: str, response: Any) -> None:
    """Check that a refusal says what to do, in the shape of its interface."""
    body = json.loads(response.content)
    if route.startswith("/udf/"):
        assert body.keys() == {"s", "errmsg"} and body["s"] == "error"
        detail = body["errmsg"]
    elif route.startswith("/binance/"):
        assert body["code"] == -2015
        detail = body["msg"]
    else:
        assert response["Content-Type"] == "application/problem+json"
        detail = body["detail"]
    assert "create_api_key" in detail or "CSRF" in detail
    assert (response.status_code == 401) == (response.headers.get("WWW-Authenticate", "")[:6] == "Bearer")


def test_head_and_options_are_reading(client: Client, market: Market, settings: Any) -> None:
    for required, expected in ((False, 200), (True, 401)):
        settings.REQUIRE_API_KEY = required
        assert client.head("/api/v1/markets").status_code == expected
        assert client.options("/api/v1/markets").status_code == expected


def test_health_stays_open_and_the_front_page_leads_to_signing_in(
    client: Client, market: Market, settings: Any
) -> None:
    settings.REQUIRE_API_KEY = True
    assert {client.get(path).status_code for path in ("/health/live", "/health/ready")} == {200}
    answer = client.get("/", follow=True)
    assert answer.status_code == 200 and answer.redirect_chain == [("/sign-in?next=%2F", 302)]


def test_another_scheme_of_authorization_is_a_proxys_affair(client: Client, market: Market, read_key: str) -> None:
    basic = {"Authorization": "Basic YWRhOng="}
    assert client.get("/api/v1/markets", headers=basic).status_code == 200
    assert client.get("/api/v1/markets", headers={**basic, "X-API-Key": read_key}).status_code == 200


def test_open_reading_looks_at_no_session_and_varies_by_no_cookie(staff: Client, market: Market) -> None:
    assert "Cookie" not in staff.get("/api/v1/markets").headers.get("Vary", "")


def test_a_plain_view_asks_the_same_rule(db: None, settings: Any, read_key: str) -> None:
    def may(**headers: str) -> bool:
        request = RequestFactory().get("/metrics", headers=headers)
        request.user = AnonymousUser()
        return may_read(request)

    settings.REQUIRE_API_KEY = False
    assert (may(), may(**{"X-API-Key": read_key}), may(Authorization="Bearer ck_x")) == (True, True, False)
    settings.REQUIRE_API_KEY = True
    assert (may(), may(**{"X-API-Key": read_key})) == (False, True)


@pytest.mark.parametrize(
    ("headers", "by", "status"),
    [({"X-API-Key": "write"}, "key writer", 404), ({"X-API-Key": "read"}, "key reader", 403)],
)
def test_a_write_is_logged_with_who_where_and_what_came_of_it(
    client: Client, write_key: str, read_key: str, caplog: pytest.LogCaptureFixture, headers: Any, by: str, status: int
) -> None:
    text = {"write": write_key, "read": read_key}[headers["X-API-Key"]]
    with caplog.at_level(logging.DEBUG):
        client.post("/api/v1/actors/producer/nobody/reset?secret=1", headers={"X-API-Key": text})
    (told,) = [record.msg for record in caplog.records if "write" in str(record.msg) and "path" in str(record.msg)]
    assert told["event"] == "write"  # type: ignore[index]
    path = "/api/v1/actors/producer/nobody/reset"
    assert {key: told[key] for key in ("by", "method", "path", "status")} == {  # type: ignore[index]
        "by": by,
        "method": "POST",
        "path": path,
        "status": status,
    }
    assert text not in caplog.text and text[12:] not in caplog.text


def test_a_staff_write_is_logged_by_user(staff: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        token = staff.cookies["csrftoken"].value
        staff.post("/api/v1/actors/producer/nobody/reset", headers={"X-CSRFToken": token})
    assert "user ada" in caplog.text
