from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django_redis import get_redis_connection

from config.monitoring import cached_answer
from coordination.models import Coordinator
from datastore.access.api_keys import clear_key_cache
from datastore.access.lua_scripts import reset_backoff
from datastore.models import Market
from datastore.reference.markets import ensure_markets
from datastore.requests import endings
from tests.support.api import rows
from tests.support.dashboard.reading import shown


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Look at the rows of each test, not at an answer of the one before."""
    monkeypatch.setattr(cached_answer, "TTL_S", -1.0)
    reset_backoff()
    clear_key_cache()
    yield
    reset_backoff()
    clear_key_cache()
    endings.unanswered.clear()
    get_redis_connection("default").flushdb()


@pytest.fixture
def market(db: None) -> Market:
    """BTC-USD at coinbase, beside ETH-USD there and BTC-USD at kraken, all followed, of a provider that runs."""
    rows.provider_runs()
    return ensure_markets([rows.SYMBOL, "coinbase:ETH-USD", "kraken:BTC-USD"])[0]


@pytest.fixture
def coordinator(db: None) -> Coordinator:
    return Coordinator.objects.create(name="coordinator-1", owner="here:1:1", heartbeat_at=Now())


@pytest.fixture
def staff(db: None) -> Client:
    """A staff user's session with its CSRF cookie, by a client that is refused without the token."""
    User.objects.create_user("ada", password="x", is_staff=True)
    client = Client(enforce_csrf_checks=True)
    client.login(username="ada", password="x")
    return client


@pytest.fixture
def count_statements() -> Any:
    """Return a function that counts the statements of a page."""

    def count(client: Client, address: str) -> int:
        shown(client, address)  # what is remembered for good is known from here on
        with CaptureQueriesContext(connection) as queries:
            shown(client, address)
        return len(queries)

    return count
