"""A server that does not answer keeps a page waiting once, not once for each question."""

from __future__ import annotations

import socket

import pytest
from django.conf import settings
from redis.exceptions import ConnectionError, RedisError, TimeoutError

from actor_runtime import breaker
from actor_runtime.breaker import Breaker, breaker_of
from actor_runtime.configured_broker import brief_admin
from datastore.access.counters import ask_counters
from streaming.errors import StreamUnavailable

FAILURES = (ConnectionError, TimeoutError)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Time that a test sets."""
    now = [1000.0]
    monkeypatch.setattr(breaker, "RETRY_AFTER_S", 3.0)
    monkeypatch.setattr(breaker, "monotonic", lambda: now[0])
    return now


def fail(one: Breaker, error: Exception) -> None:
    with pytest.raises(type(error)), one.asking(*FAILURES):
        raise error


def test_after_a_failure_nobody_asks_for_a_while(clock: list[float]) -> None:
    one = Breaker()
    fail(one, TimeoutError("no answer"))
    with pytest.raises(StreamUnavailable, match="no answer"), one.asking(StreamUnavailable):
        pytest.fail("it was asked")
    clock[0] += 3
    with one.asking(*FAILURES):
        pass


def test_an_answer_that_refuses_is_an_answer(clock: list[float]) -> None:
    one = Breaker()
    with pytest.raises(RedisError), one.asking(*FAILURES):
        raise RedisError("wrong type")
    with one.asking(*FAILURES):
        pass


def test_cache_and_stream_on_one_server_share_what_is_known(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and says nothing, like a frozen server
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        monkeypatch.setattr(settings, "REDIS_URL", url)
        monkeypatch.setattr(settings, "STREAM_URL", url)
        with pytest.raises(StreamUnavailable), brief_admin() as admin:
            admin.unread("group", ["tick-data"], shared=True)
        with pytest.raises(ConnectionError):
            ask_counters(lambda client: pytest.fail("it was asked"))
    breaker_of.cache_clear()
