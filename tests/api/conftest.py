from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models.functions import Now
from django.test import Client
from django_redis import get_redis_connection

from coordination.models import Coordinator
from datastore.access.api_keys import clear_key_cache
from datastore.access.lua_scripts import reset_backoff
from datastore.models import ApiKey, Market
from datastore.reference.markets import ensure_markets
from datastore.requests import endings
from tests.support.api import declared, rows
from tests.support.api.keys import saved_key


@pytest.fixture(autouse=True)
def empty_cache() -> Iterator[None]:
    """Leave nothing in the cache for the next test, whose rows have the same names, and no cache left alone."""
    reset_backoff()
    yield
    reset_backoff()
    get_redis_connection("default").flushdb()


@pytest.fixture(autouse=True)
def no_key_remembered() -> Iterator[None]:
    """What a process remembers of keys outlives the rows of one test."""
    clear_key_cache()
    yield
    clear_key_cache()


@pytest.fixture(autouse=True)
def every_answer_is_as_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold whatever the API answers in these tests against its OpenAPI document."""
    ask = Client.request

    def request(client: Client, **environ: Any) -> Any:
        response = ask(client, **environ)
        declared.check(response)
        return response

    monkeypatch.setattr(Client, "request", request)


@pytest.fixture
def market(db: None) -> Market:
    """BTC-USD at coinbase, beside ETH-USD there and BTC-USD at kraken, of a provider that runs."""
    rows.provider_runs()
    return ensure_markets([rows.SYMBOL, "coinbase:ETH-USD", "kraken:BTC-USD"])[0]


@pytest.fixture
def coordinator(db: None) -> Coordinator:
    return Coordinator.objects.create(name="coordinator-1", owner="here:1:1", heartbeat_at=Now())


@pytest.fixture(autouse=True)
def nothing_unanswered() -> Iterator[None]:
    yield
    endings.unanswered.clear()


@pytest.fixture
def staff(db: None) -> Client:
    """A staff user's session with its CSRF cookie, by a client that is refused without the token."""
    User.objects.create_user("ada", password="x", is_staff=True)
    client = Client(enforce_csrf_checks=True)
    client.login(username="ada", password="x")
    client.get("/admin/")  # sets the CSRF cookie
    return client


@pytest.fixture
def root(db: None) -> Client:
    """A superuser's session."""
    User.objects.create_superuser("root", password="x")
    client = Client()
    client.login(username="root", password="x")
    return client


@pytest.fixture
def write_key(db: None) -> str:
    """The text of a key that may write."""
    return saved_key("writer", ApiKey.Scope.WRITE)


@pytest.fixture
def read_key(db: None) -> str:
    """The text of a key that may only read."""
    return saved_key("reader", ApiKey.Scope.READ)
