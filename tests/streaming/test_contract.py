from __future__ import annotations

import pytest

from tests.support.broker_backends import KafkaBackend, MemoryBackend, RedisBackend
from tests.support.kafka.fixtures import LIBRARY_S_SOCKETS
from tests.support.kafka.server import PrivateKafka
from tests.support.streaming.broken import BROKEN, Broken
from tests.support.streaming.contract import CHECKS
from tests.support.valkey import PrivateValkey

POINTS = sorted(CHECKS)


@pytest.mark.parametrize("point", POINTS)
def test_memory_keeps_each_point_of_the_contract(point: int) -> None:
    CHECKS[point](MemoryBackend())


@pytest.mark.parametrize("point", POINTS)
def test_redis_streams_keep_each_point_of_the_contract(point: int, valkey: PrivateValkey) -> None:
    CHECKS[point](RedisBackend(valkey))


@LIBRARY_S_SOCKETS
@pytest.mark.parametrize("point", POINTS)
def test_kafka_keeps_each_point_of_the_contract(point: int, kafka: PrivateKafka) -> None:
    CHECKS[point](KafkaBackend(kafka))


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.adapter.__name__)
def test_the_suite_fails_on_a_broken_adapter_at_just_its_point(broken: Broken) -> None:
    failing = {point for point in POINTS if _fails(point, broken)}
    assert failing == {broken.point} | broken.also


def test_there_is_a_broken_adapter_for_each_point() -> None:
    assert {broken.point for broken in BROKEN} == set(POINTS)


def _fails(point: int, broken: Broken) -> bool:
    try:
        CHECKS[point](MemoryBackend(broken.adapter))
    except AssertionError:
        return True
    return False
