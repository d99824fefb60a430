from __future__ import annotations

import pytest
from django.db import InterfaceError, OperationalError, ProgrammingError
from django_redis.exceptions import ConnectionInterrupted
from redis.exceptions import ConnectionError as RedisConnectionError

from actor_runtime.errors import CacheFault, Fenced, LastingFault, PlatformFault, RequestFault, RouteFault
from actor_runtime.reset_policy import backoff, reason_of, reset_delay
from streaming.errors import GroupLost, PublishFailed, StreamUnavailable, TopicMissing


@pytest.mark.parametrize(
    "exc",
    [
        PlatformFault(),
        StreamUnavailable(),
        PublishFailed("2 of 5", [1, 3]),
        GroupLost(),
        TopicMissing(),
        OperationalError("server closed the connection"),
        InterfaceError("connection already closed"),
        RedisConnectionError("refused"),
        ConnectionInterrupted(None),
    ],
    ids=lambda exc: type(exc).__name__,
)
def test_faults_of_the_platform_double_their_wait(exc: Exception) -> None:
    assert [reset_delay(exc, count) for count in (1, 2, 3, 9, 10, 5000)] == [1, 2, 4, 256, 300, 300]


@pytest.mark.parametrize(
    ("exc", "delay"),
    [(CacheFault(), 1), (RequestFault(), 0), (RouteFault(), 0), (LastingFault(), None)]
    + [(exc, None) for exc in (KeyError("price"), ProgrammingError("no such column"))],
    ids=lambda value: type(value).__name__,
)
def test_other_faults_wait_as_their_kind_says_however_often(exc: Exception, delay: float | None) -> None:
    assert {reset_delay(exc, count) for count in (1, 7)} == {delay}


def test_backoff_stays_within_its_bound() -> None:
    assert [backoff(count, 5) for count in (0, 1, 2, 3, 4)] == [1, 1, 2, 4, 5]


def test_a_reason_is_one_line_without_secrets() -> None:
    exc = OperationalError(
        "connect to redis://:hunter2@10.0.0.1:6379/0\nfailed; GET https://x/y?api_key=abc123&limit=1 "
        "authorization: Apikey topsecret password='pw'"
    )
    assert reason_of(exc) == (
        "OperationalError: connect to redis://…@10.0.0.1:6379/0 failed; GET https://x/y?api_key=…&limit=1 "
        "authorization: Apikey … password='…'"
    )


def test_a_reason_without_words_is_the_sentence_of_its_class() -> None:
    assert reason_of(Fenced("")) == "Fenced: Another process took this actor over."
    assert reason_of(KeyError()).startswith("KeyError: ")
    assert len(reason_of(ValueError("x" * 5000))) == 500
