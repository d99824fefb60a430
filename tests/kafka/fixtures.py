"""The node that all tests of Kafka in one process share; started when the first of them runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kafka.server import PrivateKafka, private_kafka


@pytest.fixture(scope="session")
def kafka_of_this_run() -> Iterator[PrivateKafka]:
    """A node that the tests of Kafka share."""
    with private_kafka() as server:
        yield server


@pytest.fixture
def kafka(kafka_of_this_run: PrivateKafka) -> PrivateKafka:
    """That node, running whatever the last test did to it."""
    kafka_of_this_run.start()
    return kafka_of_this_run
