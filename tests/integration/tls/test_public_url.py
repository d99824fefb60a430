"""Candlekeep behind a real TLS proxy, with one setting: PUBLIC_URL."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from django.conf import settings as django_settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User
from django.db import connection
from websockets import Origin
from websockets.sync.client import connect

from config.supervision.embedded_servers import free_port
from config.supervision.processes import sse_program, web_program
from datastore.models import ApiKey, DatastoreRequest
from tests.support.api.keys import saved_key
from tests.support.datastore.provider_time import ProviderTime
from tests.support.polling import until
from tests.support.servers import PRODUCT_SETTINGS
from tests.support.sse.event_log import Reader
from tests.support.sse.scenario import MarketScenario
from tests.support.tls.terminator import NAME, ByName, found_programs, terminator

pytestmark = pytest.mark.django_db(transaction=True)
PATIENCE = 30  # seconds
PASSWORD = "long and secret"


@dataclass(frozen=True)
class Platform:
    """The addresses of one Candlekeep behind nginx."""

    public: str  # through nginx by TLS
    plain: str  # through nginx without
    direct: str  # past it, on this machine
    certificate: Path
    folder: Path  # of what the programs and nginx write

    def browser(self) -> httpx.Client:
        return httpx.Client(transport=ByName(self.certificate), base_url=self.public, timeout=PATIENCE)

    def next_kline(self, address: str, stream: str) -> Any:
        """Follow a stream of Binance's with a key in its address; return its first event."""
        here = socket.create_connection(("127.0.0.1", urlsplit(self.public).port or 0))
        trust = ssl.create_default_context(cafile=str(self.certificate))
        key = saved_key("bot", ApiKey.Scope.READ)
        asked = f"{address}/{stream}?apiKey={key}"
        with connect(asked, sock=here, ssl=trust, origin=Origin(self.public)) as ws:
            return json.loads(ws.recv(timeout=PATIENCE))


@pytest.fixture
def platform(settings: Any, tmp_path: Path) -> Iterator[Platform]:
    programs = found_programs()
    settings.PORT, settings.SSE_PORT = free_port(), free_port()
    tls, plain = free_port(), free_port()
    public = f"https://{NAME}:{tls}"
    there = connection.settings_dict
    env = {name: value for name, value in os.environ.items() if name not in PRODUCT_SETTINGS} | {
        "DATABASE_URL": f"postgresql://{there['USER']}@/{there['NAME']}?host={there['HOST']}",
        "PORT": str(settings.PORT),
        "SSE_PORT": str(settings.SSE_PORT),
        "PUBLIC_URL": public,
    }
    children = []
    for program in (web_program(env), sse_program(env)):
        with (tmp_path / f"{program.name}.txt").open("wb") as output:
            child = subprocess.Popen(
                program.argv, cwd=django_settings.BASE_DIR, env=dict(program.env), stdout=output, stderr=output
            )
        children.append(child)
    try:
        with terminator(programs, tmp_path, tls, plain, settings.PORT, settings.SSE_PORT) as certificate:
            found = Platform(
                public, f"http://{NAME}:{plain}", f"http://127.0.0.1:{settings.PORT}", certificate, tmp_path
            )
            ports = (settings.PORT, settings.SSE_PORT)
            addresses = [f"http://127.0.0.1:{port}/health/live" for port in ports] + [f"{public}/health/live"]
            with found.browser() as client:
                until(lambda: said(tmp_path), lambda: all(answers(client, address) for address in addresses), PATIENCE)
            yield found
    finally:
        for child in children:
            child.terminate()
        for child in children:
            child.wait(PATIENCE)


def said(folder: Path) -> str:
    return "\n".join(path.read_text() for path in folder.glob("*.txt"))


def answers(client: httpx.Client, address: str) -> bool:
    try:
        return client.get(address).status_code == 200
    except httpx.TransportError:
        return False


def sign_in(client: httpx.Client) -> httpx.Response:
    """Sign in at /admin/ as a browser does, which sends where the form came from."""
    page = client.get("/admin/login/")
    assert page.status_code == 200
    fields = {"username": "ada", "password": PASSWORD, "csrfmiddlewaretoken": client.cookies["csrftoken"]}
    return client.post("/admin/login/?next=/admin/", data=fields, headers=from_page(client))


def from_page(client: httpx.Client) -> dict[str, str]:
    origin = str(client.base_url).rstrip("/")
    return {"Origin": origin, "Referer": f"{origin}/admin/"}


@pytest.fixture
def ada() -> User:
    password = PBKDF2PasswordHasher().encode(PASSWORD, "salt", iterations=1)  # the tests' own hasher is not known there
    return User.objects.create(username="ada", password=password, is_staff=True, is_superuser=True)


def test_behind_a_tls_proxy_one_setting_makes_login_writes_streams_and_addresses_work(
    platform: Platform, ada: User, provider_time: ProviderTime
) -> None:
    scenario = MarketScenario(provider_time)
    DatastoreRequest.objects.create(name="request-1")
    with DatastoreRequest.locked("request-1") as actor:
        actor.request_data()
        actor.start_db_query()
        actor.db_query_failure(reason="the disk is full")
    address = "/api/v1/actors/datastorerequest/request-1/reset"

    with platform.browser() as client:
        signed_in = sign_in(client)
        assert (signed_in.status_code, signed_in.headers.get("Location")) == (302, "/admin/"), signed_in.text
        cookies = {text.partition("=")[0]: text for text in signed_in.headers.get_list("Set-Cookie")}
        assert all("Secure" in cookies[name] for name in ("sessionid", "csrftoken")), cookies
        assert "max-age=" in signed_in.headers["Strict-Transport-Security"]
        assert client.get("/admin/").status_code == 200

        token = {"X-CSRFToken": client.cookies["csrftoken"]}
        elsewhere = {**token, "Origin": "https://evil.example", "Referer": "https://evil.example/"}
        assert client.post(address, headers=elsewhere).status_code == 403
        assert client.post(address, headers=from_page(client)).status_code == 403
        done = client.post(address, headers={**from_page(client), **token})
        assert done.status_code == 200 and DatastoreRequest.objects.get().state == "idle", done.text

        follow = f"/api/v1/candles/stream?market={scenario.market.symbol}&timeframe=1m"
        led = client.get(follow)
        assert led.status_code == 307 and led.headers["Location"].startswith(
            f"{platform.public}/stream/candles?ticket="
        )
        with client.stream("GET", led.headers["Location"], headers=from_page(client)) as stream:
            assert stream.status_code == 200 and stream.headers["Content-Type"].startswith("text/event-stream")
            assert stream.headers["Access-Control-Allow-Origin"] == platform.public
            reader = Reader()
            event = next(event for chunk in stream.iter_raw() for event in reader.feed(chunk))
        assert event.name == "snapshot"

        # The pair of the scenario, behind the same name, as a client of Binance follows it from one of our pages.
        scenario.trade(0, 5)
        streams = platform.public.replace("https", "wss", 1)
        assert platform.next_kline(f"{streams}/binance/ws", f"{scenario.market.base}usd@kline_1m")["e"] == "kline"
        until(lambda: said(platform.folder), lambda: '"GET /binance/ws/' in said(platform.folder), PATIENCE)
        assert "apiKey" not in said(platform.folder) and "ticket=" not in said(platform.folder)


def test_behind_a_tls_proxy_what_comes_by_http_or_under_another_name_gets_nothing(platform: Platform) -> None:
    with platform.browser() as client:
        for base in (platform.plain, platform.direct):
            sent_on = client.get(f"{base}/admin/login/?next=/admin/")
            assert sent_on.status_code == 301
            assert sent_on.headers["Location"] == f"{platform.public}/admin/login/?next=/admin/"
            assert "Set-Cookie" not in sent_on.headers

        spoofed = client.get("/api/v1/markets", headers={"Host": "evil.example"})
        assert spoofed.status_code == 400 and "PUBLIC_URL" in json.loads(spoofed.content)["detail"]
        # nginx says what it saw, whatever a client says.
        assert client.get("/health/live", headers={"X-Forwarded-Proto": "http"}).status_code == 200
        assert client.get("/api/v1/markets", headers={"X-Forwarded-Proto": "http"}).status_code == 401

        # A proxy that does not say by which scheme it was asked would be redirected for ever.
        silent = client.get(f"{platform.direct}/api/v1/markets", headers={"Host": NAME})
        assert silent.status_code == 400 and "X-Forwarded-Proto" in json.loads(silent.content)["detail"]

        # Who watches this machine asks past the proxy and gets answers.
        assert client.get(f"{platform.direct}/health/live").status_code == 200
        assert client.get(f"{platform.direct}/health/ready").status_code in {200, 503}
        assert client.get(f"{platform.direct}/metrics").status_code == 401, "it needs a key, but no TLS"
