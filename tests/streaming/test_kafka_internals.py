"""What streaming/kafka/internals.py uses of kafka-python beyond its documentation is there in the installed version.

A failure here after an upgrade says what the library changed; the message says which of our code to look at.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kafka
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.net.compat import KafkaNetClient
from kafka.net.connection import KafkaConnection
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector
from kafka.producer.future import FutureRecordMetadata
from kafka.producer.sender import Sender

LOOK = "kafka-python {version} changed {what}: look at {where} in streaming/kafka"
NETWORK, ABANDON = "internals.NetworkClient", "internals.abandon"


def hint(what: str, where: str) -> str:
    return LOOK.format(version=kafka.__version__, what=what, where=where)


@pytest.mark.parametrize(
    ("callable_", "parameters", "where"),
    [
        (KafkaNetClient.__init__, {"net", "manager", "configs"}, NETWORK),
        (KafkaConnectionManager.__init__, {"net", "configs"}, NETWORK),
        (KafkaConnectionManager.get_connection, {"node_id"}, NETWORK),
        (NetworkSelector.__init__, {"configs"}, NETWORK),
        (KafkaProducer.close, {"timeout"}, ABANDON),
        (KafkaProducer._unregister_cleanup, {"self"}, ABANDON),
        (Sender.force_close, {"self"}, ABANDON),
        (FutureRecordMetadata.succeeded, {"self"}, "publisher._Window"),
        (FutureRecordMetadata.add_errback, {"self"}, "publisher._Window"),
    ],
)
def test_what_is_called_takes_the_arguments_that_it_is_given(
    callable_: Callable[..., Any], parameters: set[str], where: str
) -> None:
    missing = parameters - inspect.signature(callable_).parameters.keys()
    assert not missing, hint(f"the parameters of {callable_.__qualname__}: {missing} are missing", where)


@pytest.mark.parametrize(
    ("owner", "assignment", "where"),
    [
        (KafkaNetClient, "self._manager = ", NETWORK),
        (KafkaProducer, "self._sender = ", ABANDON),
        (KafkaProducer, "self._closed = False", ABANDON),
    ],
)
def test_private_attributes_are_still_set(owner: type, assignment: str, where: str) -> None:
    assert assignment in inspect.getsource(owner), hint(f"{owner.__name__}: nothing sets {assignment!r}", where)


def test_a_closed_producer_is_left_alone_by_its_own_clean_up() -> None:
    source = inspect.getsource(KafkaProducer.close)
    assert "self._closed:" in source, hint("KafkaProducer.close: it ignores _closed", ABANDON)


@pytest.mark.parametrize("client", [KafkaAdminClient, KafkaConsumer, KafkaProducer])
def test_each_client_takes_a_network_client_of_ours(client: type) -> None:
    assert client.DEFAULT_CONFIG.get("kafka_client") is KafkaNetClient, hint(  # type: ignore[attr-defined]
        f"{client.__name__}: no option kafka_client", NETWORK
    )


@pytest.mark.parametrize("option", ["socket_connection_setup_timeout_ms", "socket_connection_setup_timeout_max_ms"])
def test_the_time_of_a_connection_attempt_can_be_limited(option: str) -> None:
    assert option in KafkaConnectionManager.DEFAULT_CONFIG, hint(f"no option {option}", NETWORK)


def test_a_connection_says_by_a_future_how_its_making_went() -> None:
    assert isinstance(KafkaConnection.init_future, property), hint("KafkaConnection.init_future", NETWORK)


def test_nothing_else_of_the_product_imports_the_librarys_network_code() -> None:
    root = Path(__file__).parents[2]
    users = [path.name for path in (root / "streaming").rglob("*.py") if "kafka.net" in path.read_text()]
    assert users == ["internals.py"]


def test_a_producers_sender_is_a_thread_of_its_own() -> None:
    assert issubclass(Sender, threading.Thread), hint("Sender is no thread", ABANDON)


def test_a_future_says_whether_it_is_done() -> None:
    assert "is_done" in inspect.getsource(inspect.getmodule(FutureRecordMetadata.__mro__[1])), hint(  # type: ignore[arg-type]
        "Future.is_done", "publisher._Window"
    )
