from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from streaming.broker import Publisher, Subscription
from streaming.redis.broker import RedisBroker
from tests.support.streaming.contract import GROUP, TOPIC
from tests.support.valkey import PrivateValkey, private_valkey


@pytest.fixture(scope="session")
def valkey_of_this_run() -> Iterator[PrivateValkey]:
    """A server that the streaming tests share."""
    with private_valkey() as server:
        yield server


@pytest.fixture
def valkey(valkey_of_this_run: PrivateValkey) -> PrivateValkey:
    """That server, running (whatever the last test did to it) and empty."""
    valkey_of_this_run.thaw()
    valkey_of_this_run.start()
    valkey_of_this_run.configure(maxmemory=0)
    valkey_of_this_run.flush()
    return valkey_of_this_run


@pytest.fixture
def broker(valkey: PrivateValkey) -> RedisBroker:
    """The adapter on that server, with an empty tick-data."""
    broker = RedisBroker(valkey.url, 100_000)
    with closing(broker.admin()) as admin:
        admin.create_topic(TOPIC)
    return broker


@pytest.fixture
def roles(broker: RedisBroker) -> Iterator[tuple[Publisher, Subscription]]:
    """A publisher and a subscription to tick-data."""
    with closing(broker.publisher()) as publisher, closing(broker.subscribe(GROUP, [TOPIC])) as subscription:
        yield publisher, subscription
