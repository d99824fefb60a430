"""The places of those who wait for a request: none is lost, whatever goes wrong."""

from __future__ import annotations

from typing import Any

import pytest

from datastore.requests import wake


def test_a_wait_that_breaks_down_gives_its_place_back(settings: Any) -> None:
    caches = settings.CACHES
    nonsense = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": "nonsense://127.0.0.1"}
    settings.CACHES = {"default": nonsense, "hot": nonsense}
    for _ in range(wake.SERVER_THREADS):
        with pytest.raises(ValueError, match="URL"):
            wake.wait_until(lambda: False, 60)
    settings.CACHES = caches
    answers = iter((False, True))
    assert wake.wait_until(lambda: next(answers), 60), "it may still wait"
