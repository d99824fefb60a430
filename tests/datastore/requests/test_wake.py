"""The places of those who wait for a request: none is lost, whatever goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from socket import create_server
from typing import Any

import pytest

from actor_runtime.breaker import breaker_of
from config.caches import caches
from datastore.requests import wake


def test_a_wait_that_breaks_down_gives_its_place_back(settings: Any) -> None:
    caches = settings.CACHES
    nonsense = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": "nonsense://127.0.0.1"}
    settings.CACHES = {"default": nonsense, "hot": nonsense, "counters": nonsense}
    for _ in range(wake.SERVER_THREADS):
        with pytest.raises(ValueError, match="URL"):
            wake.wait_until(lambda: False, 60)
    settings.CACHES = caches
    answers = iter((False, True))
    assert wake.wait_until(lambda: next(answers), 60), "it may still wait"


@pytest.fixture
def frozen_valkey(settings: Any) -> Iterator[None]:
    """A server that takes connections and never answers."""
    with create_server(("127.0.0.1", 0)) as server:
        settings.REDIS_URL = f"redis://127.0.0.1:{server.getsockname()[1]}/0"
        settings.CACHES = caches(settings.REDIS_URL)
        yield
    breaker_of.cache_clear()


def test_while_valkey_does_not_answer_nobody_waits_long(frozen_valkey: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wake, "MAX_WAIT_WITHOUT_VALKEY_S", 3 * wake.POLL_S)
    asked: list[int] = []
    assert not wake.wait_until(lambda: bool(asked.append(1)), 150)
    assert len(asked) <= 5, "two minutes would be hundreds"
