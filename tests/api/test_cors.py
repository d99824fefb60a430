"""Which web pages may read the API."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from datastore.models import Market

PAGE = "https://charts.example.org"


@pytest.fixture(autouse=True)
def one_page(settings: Any) -> None:
    settings.CORS_ALLOWED_ORIGINS = [PAGE]


def preflight(client: Client, path: str, origin: str = PAGE) -> Any:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
    return client.options(path, headers=headers)


def test_a_preflight_needs_no_key_and_names_methods_and_headers(client: Client, settings: Any) -> None:
    settings.REQUIRE_API_KEY = True
    response = preflight(client, "/api/v1/backfill")
    assert (response.status_code, response["Access-Control-Allow-Origin"]) == (200, PAGE)
    assert response["Access-Control-Allow-Methods"] == "GET, HEAD, POST, PUT, DELETE, OPTIONS"
    assert {"authorization", "x-api-key"} <= set(response["Access-Control-Allow-Headers"].split(", "))
    assert "Access-Control-Allow-Credentials" not in response


def test_a_listed_page_reads_answer_and_headers_refusals_too(client: Client, market: Market) -> None:
    for path, status in (("/api/v1/markets", 200), ("/api/v1/candles", 400), ("/api/v1/nothing", 404)):
        response = client.get(path, headers={"Origin": PAGE})
        assert (response.status_code, response["Access-Control-Allow-Origin"]) == (status, PAGE)
        assert "Origin" in response["Vary"] or "origin" in response["Vary"]
        exposed = set(response["Access-Control-Expose-Headers"].split(", "))
        wanted = {"ETag", "Location", "Retry-After", "RateLimit-Remaining", "Candlekeep-Complete", "Candlekeep-Gaps"}
        assert wanted | {"Link", "Candlekeep-Request"} <= exposed  # where the rest of a certificate is


@pytest.mark.parametrize("path", ["/metrics", "/health/live", "/admin/login/", "/"])
def test_what_is_not_the_api_is_for_no_page(client: Client, market: Market, path: str) -> None:
    assert "Access-Control-Allow-Origin" not in client.get(path, headers={"Origin": PAGE})


def test_another_page_is_let_nowhere(client: Client, market: Market) -> None:
    assert "Access-Control-Allow-Origin" not in preflight(client, "/api/v1/backfill", "https://evil.example")
    assert "Access-Control-Allow-Origin" not in client.get(
        "/api/v1/markets", headers={"Origin": "https://evil.example"}
    )


def test_the_star_is_for_every_page_and_never_with_cookies(client: Client, market: Market, settings: Any) -> None:
    settings.CORS_ALLOW_ALL_ORIGINS = True
    response = client.get("/api/v1/markets", headers={"Origin": "https://anybody.example"})
    assert response["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in response
