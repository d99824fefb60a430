"""System checks of the settings for a Kafka cluster, each with an id and a hint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from config.check_tags import SETTINGS_TAG
from config.networks import is_loopback
from streaming.errors import StreamError
from streaming.kafka_settings import KafkaAccess, kafka_servers

SCHEME = "kafka://"


@register(SETTINGS_TAG)
def kafka_brokers(**kwargs: Any) -> list[CheckMessage]:
    """Check that STREAM_URL names brokers that we can connect to."""
    if not settings.STREAM_URL.startswith(SCHEME):
        return []
    try:
        kafka_servers(settings.STREAM_URL)
    except StreamError as error:
        hint = (
            "Write STREAM_URL=kafka://host:port,host:port with some of the cluster's brokers; the usual port is 9092."
        )
        return [Error(f"STREAM_URL cannot be used: {error}.", hint=hint, id="candlekeep.E020")]
    return []


@register(SETTINGS_TAG)
def kafka_login(**kwargs: Any) -> list[CheckMessage]:
    """Check that a protocol with a login has a user name and a password."""
    access: KafkaAccess = settings.KAFKA
    if not access.has_login or (access.sasl_username and access.sasl_password):
        return []
    missing = "KAFKA_SASL_PASSWORD" if access.sasl_username else "KAFKA_SASL_USERNAME"
    return [
        Error(
            f"KAFKA_SECURITY_PROTOCOL={access.security_protocol} asks for a login, but {missing} is not set.",
            hint=f"Set {missing}, or a KAFKA_SECURITY_PROTOCOL without SASL.",
            id="candlekeep.E021",
        )
    ]


@register(SETTINGS_TAG)
def kafka_files(**kwargs: Any) -> list[CheckMessage]:
    """Check that the files of certificates and keys exist."""
    access: KafkaAccess = settings.KAFKA
    files = {
        "KAFKA_SSL_CAFILE": access.ssl_cafile,
        "KAFKA_SSL_CERTFILE": access.ssl_certfile,
        "KAFKA_SSL_KEYFILE": access.ssl_keyfile,
    }
    return [
        Error(f"{name}={path} is not a file.", hint=f"Set {name} to a file in PEM format.", id="candlekeep.E022")
        for name, path in files.items()
        if path and not Path(path).is_file()
    ]


@register(SETTINGS_TAG)
def kafka_unused(**kwargs: Any) -> list[CheckMessage]:
    """Kafka settings without a Kafka STREAM_URL are an error."""
    given = sorted(name for name, value in settings.KAFKA_ENVIRONMENT.items() if value)
    if not given or settings.STREAM_URL.startswith(SCHEME):
        return []
    hint = "Set STREAM_URL=kafka://host:port, or unset them."
    return [
        Warning(f"{', '.join(given)} is set, but STREAM_URL is not a kafka:// URL.", hint=hint, id="candlekeep.W020")
    ]


@register(SETTINGS_TAG)
def kafka_in_the_clear(**kwargs: Any) -> list[CheckMessage]:
    """Check that a password is not sent unencrypted over a network."""
    access: KafkaAccess = settings.KAFKA
    if not access.has_login or access.is_encrypted or not settings.STREAM_URL.startswith(SCHEME):
        return []
    try:
        hosts = [server.rpartition(":")[0].strip("[]") for server in kafka_servers(settings.STREAM_URL)]
    except StreamError:
        hosts = []  # kafka_brokers() reports it
    if access.sasl_mechanism != "PLAIN" or all(is_loopback(host) for host in hosts):
        return []
    return [
        Warning(
            "The password of the Kafka cluster is sent unencrypted: anyone on the network path can read it.",
            hint="Set KAFKA_SECURITY_PROTOCOL=SASL_SSL, or KAFKA_SASL_MECHANISM=SCRAM-SHA-512 if the cluster has it.",
            id="candlekeep.W021",
        )
    ]
