"""The KAFKA_ settings, checked and put into one record."""

from __future__ import annotations

from collections.abc import Mapping

from django.core.exceptions import ImproperlyConfigured

from streaming.kafka_settings import MECHANISMS, PROTOCOLS, KafkaAccess

NAMES: tuple[str, ...] = (
    "KAFKA_SECURITY_PROTOCOL",
    "KAFKA_SASL_MECHANISM",
    "KAFKA_SASL_USERNAME",
    "KAFKA_SASL_PASSWORD",
)
NAMES += ("KAFKA_SSL_CAFILE", "KAFKA_SSL_CERTFILE", "KAFKA_SSL_KEYFILE")


def access(given: Mapping[str, str], replicas: int) -> KafkaAccess:
    """Return how to log in to the cluster, given the settings by name; raise ImproperlyConfigured."""
    return KafkaAccess(
        security_protocol=_choice(given, "KAFKA_SECURITY_PROTOCOL", PROTOCOLS),
        sasl_mechanism=_choice(given, "KAFKA_SASL_MECHANISM", MECHANISMS),
        sasl_username=given["KAFKA_SASL_USERNAME"],
        sasl_password=given["KAFKA_SASL_PASSWORD"],
        ssl_cafile=given["KAFKA_SSL_CAFILE"],
        ssl_certfile=given["KAFKA_SSL_CERTFILE"],
        ssl_keyfile=given["KAFKA_SSL_KEYFILE"],
        replication_factor=replicas,
    )


def _choice(given: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    value = given[name] or choices[0]
    if value not in choices:
        raise ImproperlyConfigured(f"{name}={value!r} is unknown. Set {name} to one of: {', '.join(choices)}.")
    return value
