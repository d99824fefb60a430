"""The node that all tests of Kafka in one process share; started when the first of them runs."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator

import pytest

from tests.support.kafka.server import PrivateKafka, private_kafka

# The client library leaves sockets to the garbage collector where a connection ended under it.
LIBRARY_S_SOCKETS = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(scope="session")
def kafka_of_this_run() -> Iterator[PrivateKafka]:
    """A node that the tests of Kafka share."""
    with private_kafka() as server:
        yield server


@pytest.fixture
def kafka(kafka_of_this_run: PrivateKafka) -> Iterator[PrivateKafka]:
    """That node, running whatever the last test did to it."""
    kafka_of_this_run.start()
    yield kafka_of_this_run
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()  # here and now, so that what the library left open is no later test's warning
