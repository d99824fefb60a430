from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django_redis import get_redis_connection

from datastore.sse.server import StreamServer
from tests.support.datastore.provider_time import ProviderTime
from tests.support.sse.scenario import MarketScenario
from tests.support.sse.server import streaming

for noisy in ("httpx", "uvicorn.error"):
    logging.getLogger(noisy).setLevel(logging.WARNING)  # a line per request hides what a failing test has to say


@pytest.fixture
def server(settings: Any) -> Iterator[StreamServer]:
    with streaming(settings) as running:
        yield running
    get_redis_connection("default").flushdb()


@pytest.fixture
def scenario(provider_time: ProviderTime) -> MarketScenario:
    made = MarketScenario(provider_time)
    made.wakes = True
    made.pass_(100)
    made.trade(3, 10)
    made.prove(2)
    return made
