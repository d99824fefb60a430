from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from streaming.kafka.broker import KafkaBroker
from tests.support.broker_backends import empty
from tests.support.kafka.server import PrivateKafka
from tests.support.streaming.contract import TOPIC


@pytest.fixture
def broker(kafka: PrivateKafka) -> Iterator[KafkaBroker]:
    """The adapter on an empty cluster with tick-data of one partition."""
    empty(kafka)
    found = kafka.broker()
    with closing(found.admin()) as admin:
        admin.create_topic(TOPIC)
    yield found
