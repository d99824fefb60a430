"""Clusters that ask who we are, or who say who they are."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import closing

import pytest

from streaming.errors import StreamUnavailable
from streaming.kafka.broker import KafkaBroker
from streaming.kafka_settings import KafkaAccess
from tests.support.kafka.server import PASSWORD, USER, PrivateKafka
from tests.support.streaming.contract import GROUP, TOPIC, drain, messages, numbers, publish

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Have the garbage of refused handshakes, which the library leaves open, collected here and by no other test."""
    yield
    gc.collect()


def goes_round(broker: KafkaBroker) -> bool:
    """Publish, read and commit through a broker."""
    publish(broker, messages(1, 3))
    with closing(broker.subscribe(GROUP, [TOPIC])) as subscription:
        records = drain(subscription)
        subscription.commit(records)
        return numbers(records) == [1, 2, 3] and subscription.lag() == 0


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_a_name_and_its_password_are_let_in(kafka: PrivateKafka, broker: KafkaBroker, mechanism: str) -> None:
    access = KafkaAccess("SASL_PLAINTEXT", mechanism, USER, PASSWORD)
    assert PASSWORD not in repr(access)
    assert goes_round(KafkaBroker(f"kafka://127.0.0.1:{kafka.login}", access))


def test_a_wrong_password_is_said_without_it(kafka: PrivateKafka, broker: KafkaBroker) -> None:
    wrong = KafkaBroker(
        f"kafka://127.0.0.1:{kafka.login}", KafkaAccess("SASL_PLAINTEXT", "PLAIN", USER, "a-wrong-password")
    )
    with pytest.raises(StreamUnavailable, match=r"Authentication failed|login is refused") as caught:
        wrong.admin().topics()
    assert "a-wrong-password" not in str(caught.value)


def test_a_cluster_is_known_by_its_certificate(kafka: PrivateKafka, broker: KafkaBroker) -> None:
    url = f"kafka://127.0.0.1:{kafka.tls}"
    assert goes_round(KafkaBroker(url, KafkaAccess("SSL", ssl_cafile=str(kafka.certificate))))
    with pytest.raises(StreamUnavailable, match=r"(?i)certificate"):
        KafkaBroker(url, KafkaAccess("SSL")).admin().topics()
