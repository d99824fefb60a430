from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django_redis import get_redis_connection

from tests.support.coordination.topic_actors import URL, Coordinating
from tests.support.streaming.memory import MemoryBroker


@pytest.fixture
def broker(settings: Any) -> Iterator[MemoryBroker]:
    """A broker of this process' own, and a queue that is empty before and after."""
    settings.STREAM_URL = URL
    get_redis_connection("default").flushall()
    yield MemoryBroker.named("topics", 1000)
    MemoryBroker.forget("topics")
    get_redis_connection("default").flushall()


@pytest.fixture
def coordinator(transactional_db: None, broker: MemoryBroker) -> Coordinating:
    """A Coordinator that has just begun."""
    return Coordinating()
