"""X-Forwarded-Proto is believed of proxies only, and only where PUBLIC_URL is https."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from datastore.api.auth.forwarded_scheme import HEADER, SILENT_PROXY, UNKNOWN_PROXY, forwarded_scheme
from datastore.api.errors import UnclearScheme

PROXY, STRANGER, HERE = "10.0.0.6", "93.184.215.14", "127.0.0.1"
NAME = "candles.example.org"


@pytest.fixture(autouse=True)
def tls(settings: Any) -> Any:
    settings.BEHIND_TLS, settings.PUBLIC_HOST, settings.PUBLIC_URL = True, NAME, f"https://{NAME}"
    settings.SECURE_PROXY_SSL_HEADER = (HEADER, "https")
    settings.TRUSTED_PROXIES = [ip_network(PROXY)]
    settings.ALLOWED_HOSTS = [NAME, "localhost"]
    return settings


def asked(peer: str, scheme: str | None, host: str = NAME, path: str = "/api/v1/") -> bool:
    """Return whether the request counts as one by https."""
    headers = {"Host": host, **({"X-Forwarded-Proto": scheme} if scheme else {})}
    request = RequestFactory().get(path, REMOTE_ADDR=peer, headers=headers)
    seen: list[bool] = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(request.is_secure())
        return HttpResponse()

    forwarded_scheme(view)(request)
    return seen[0]


@pytest.mark.parametrize("peer", [PROXY, HERE, "::1", f"::ffff:{PROXY}"])
def test_a_proxy_says_by_which_scheme_it_was_asked(peer: str) -> None:
    assert asked(peer, "https") and not asked(peer, "http")


def test_a_stranger_is_not_believed(tls: Any) -> None:
    assert not asked(STRANGER, "https", host="localhost")
    assert not asked(STRANGER, None)
    tls.TRUSTED_PROXIES = []
    assert not asked(PROXY, "https", host="localhost")


def test_a_proxy_that_is_not_set_up_is_named_and_not_redirected_for_ever() -> None:
    with pytest.raises(UnclearScheme, match=SILENT_PROXY[:40]):
        asked(PROXY, None, host=f"{NAME}:443")
    with pytest.raises(UnclearScheme, match=UNKNOWN_PROXY[:40]):
        asked(STRANGER, "https", host=NAME.upper())
    assert not asked(HERE, None, path="/health/live") and not asked(HERE, None, path="/metrics")
    assert not asked(HERE, None, host="localhost:8000"), "a program of this machine, past the proxy"


def test_the_answer_says_what_to_set(client: Client) -> None:
    answer = client.get("/api/v1/", REMOTE_ADDR=STRANGER, headers={"Host": NAME, "X-Forwarded-Proto": "https"})
    assert answer.status_code == 400 and answer.json()["detail"] == UNKNOWN_PROXY
    page = client.get("/", REMOTE_ADDR=HERE, headers={"Host": NAME})
    assert page.status_code == 400 and b"X-Forwarded-Proto" in page.content


def test_without_tls_nothing_reads_the_header(tls: Any) -> None:
    tls.BEHIND_TLS, tls.SECURE_PROXY_SSL_HEADER = False, None
    assert not asked(PROXY, "https") and not asked(STRANGER, None)
