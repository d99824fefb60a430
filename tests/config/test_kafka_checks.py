"""What keeps a Kafka cluster from being used is said before anything starts."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from config import kafka_checks
from streaming.kafka_settings import KafkaAccess
from tests.support.config.system_checks import ids

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("config", "ingestion", "consumers", "coordination", "datastore", "actor_runtime", "benchmarks")


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("kafka://one:9092,two:9092", []),
        ("kafka://one", []),
        ("redis://one", []),
        ("kafka://", ["candlekeep.E020"]),
        ("kafka://one:port", ["candlekeep.E020"]),
        ("kafka://one:0", ["candlekeep.E020"]),
        ("kafka://me:hidden@one", ["candlekeep.E020"]),
    ],
)
def test_a_url_without_brokers_or_with_a_bad_port_is_an_error(settings: Any, url: str, found: list[str]) -> None:
    settings.STREAM_URL = url
    messages = kafka_checks.kafka_brokers()
    assert ids(messages) == found
    assert "hidden" not in str(messages)


@pytest.mark.parametrize(
    ("access", "found"),
    [
        (KafkaAccess(), []),
        (KafkaAccess("SASL_SSL", "PLAIN", "me", "hidden"), []),
        (KafkaAccess("SASL_SSL", "PLAIN", "me"), ["candlekeep.E021"]),
        (KafkaAccess("SASL_PLAINTEXT", "PLAIN", "", "hidden"), ["candlekeep.E021"]),
    ],
)
def test_a_login_without_name_or_password_is_an_error(settings: Any, access: KafkaAccess, found: list[str]) -> None:
    settings.KAFKA = access
    messages = kafka_checks.kafka_login()
    assert ids(messages) == found
    assert "hidden" not in str(messages)


def test_a_certificate_that_is_not_there_is_an_error_of_its_own(settings: Any, tmp_path: Path) -> None:
    there = tmp_path / "there.pem"
    there.write_text("a certificate")
    settings.KAFKA = KafkaAccess("SSL", ssl_cafile=str(there), ssl_certfile=str(tmp_path / "none.pem"))
    (message,) = kafka_checks.kafka_files()
    assert message.id == "candlekeep.E022"
    assert "KAFKA_SSL_CERTFILE" in message.msg


def test_settings_of_kafka_beside_another_stream_are_a_warning_without_their_values(settings: Any) -> None:
    settings.KAFKA_ENVIRONMENT = {"KAFKA_SASL_PASSWORD": "hidden", "KAFKA_SSL_CAFILE": ""}
    settings.STREAM_URL = "redis://one"
    messages = kafka_checks.kafka_unused()
    assert ids(messages) == ["candlekeep.W020"]
    assert "KAFKA_SASL_PASSWORD" in messages[0].msg and "hidden" not in str(messages)
    settings.STREAM_URL = "kafka://one"
    assert kafka_checks.kafka_unused() == []


@pytest.mark.parametrize(
    ("url", "protocol", "mechanism", "found"),
    [
        ("kafka://one:9092", "SASL_PLAINTEXT", "PLAIN", ["candlekeep.W021"]),
        ("kafka://127.0.0.1:9092,localhost:9093", "SASL_PLAINTEXT", "PLAIN", []),
        ("kafka://one:9092", "SASL_PLAINTEXT", "SCRAM-SHA-512", []),
        ("kafka://one:9092", "SASL_SSL", "PLAIN", []),
        ("kafka://one:9092", "PLAINTEXT", "PLAIN", []),
        ("redis://one:9092", "SASL_PLAINTEXT", "PLAIN", []),
    ],
)
def test_a_password_in_the_clear_is_a_warning(
    settings: Any, url: str, protocol: str, mechanism: str, found: list[str]
) -> None:
    settings.STREAM_URL, settings.KAFKA = url, KafkaAccess(protocol, mechanism, "me", "hidden")
    assert ids(kafka_checks.kafka_in_the_clear()) == found


def test_whoever_connects_to_the_stream_does_so_as_the_settings_say() -> None:
    ours = [path for folder in PACKAGES for path in (ROOT / folder).rglob("*.py")]
    calls = {
        str(path.relative_to(ROOT))
        for path in ours
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "connect" and "STREAM_" in ast.unparse(node)
    }
    # Everybody else asks actors.broker; these look at an address of their own.
    benchmarks = {"benchmarks/peer_ingest.py", "benchmarks/scale.py"}
    assert calls == {"actor_runtime/configured_broker.py", "config/supervision/servers.py"} | benchmarks
