"""What the tests of history jobs share."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django_redis import get_redis_connection

from ingestion.history import job_calls, topic_room
from tests.support.ingestion.history_bench import BTC, Bench
from tests.support.simulator import running
from tests.support.streaming.memory import MemoryBroker


@pytest.fixture
def bench(transactional_db: None, tmp_path: Path, settings: Any) -> Iterator[Bench]:
    name = uuid.uuid4().hex
    with running(tmp_path, "--markets", BTC, "--rate", "6", "--retention-days", "7") as simulator:
        settings.STREAM_URL = f"memory://{name}"
        settings.CRYPTOCOMPARE_REST_URL = simulator.rest_url
        get_redis_connection("default").delete("ck:budget:history:calls", "ck:budget:history:pause")
        yield Bench(simulator, MemoryBroker.named(name, django_settings.STREAM_MAXLEN))
        MemoryBroker.forget(name)
        get_redis_connection("default").delete("ck:budget:history:calls", "ck:budget:history:pause")


@pytest.fixture
def silent_provider(bench: Bench, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A provider that takes calls and does not answer them."""
    monkeypatch.setattr(job_calls, "RENEW_INTERVAL_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings.CRYPTOCOMPARE_REST_URL = f"http://127.0.0.1:{server.getsockname()[1]}"
        yield


@pytest.fixture
def room_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """More pages than are published ahead of a consumer, in a test that has none."""
    monkeypatch.setattr(topic_room, "MAX_UNREAD_RECORDS", 1_000_000)
