"""How to reach a Kafka cluster: read by the settings, and given to streaming.broker_factory.connect."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from streaming.errors import StreamError

KAFKA_PORT = 9092
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


@dataclass(frozen=True, slots=True)
class KafkaAccess:
    """The login at a Kafka cluster, and how many copies it keeps of what we write."""

    security_protocol: str = PROTOCOLS[0]
    sasl_mechanism: str = MECHANISMS[0]
    sasl_username: str = ""
    sasl_password: str = field(default="", repr=False)
    ssl_cafile: str = ""  # empty: the authorities that the system trusts
    ssl_certfile: str = ""
    ssl_keyfile: str = ""
    replication_factor: int = 0  # of the topics that we make; 0: the cluster's own default

    @property
    def is_encrypted(self) -> bool:
        """Return whether the connection is TLS."""
        return self.security_protocol.endswith("SSL")

    @property
    def has_login(self) -> bool:
        """Return whether the cluster asks for a name and password."""
        return self.security_protocol.startswith("SASL")


def kafka_servers(url: str) -> list[str]:
    """Return the host:port of each broker in kafka://host[:port],host[:port]; raise StreamError for a bad URL."""
    parts = urlsplit(url)
    if "@" in url:
        # Not repeated here: it is a password.
        raise StreamError("a kafka:// URL holds no user: set KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise StreamError("a kafka:// URL ends with its brokers: kafka://host:port,host:port")
    servers = [name.strip() for name in parts.netloc.split(",") if name.strip()]
    if not servers:
        raise StreamError("a kafka:// URL names at least one broker: kafka://host:port,host:port")
    return [_server(server) for server in servers]


def _server(text: str) -> str:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, KAFKA_PORT if parts.port is None else parts.port
    except ValueError:
        host, port = None, 0
    if not host or not port:
        raise StreamError(f"{text} is no broker: write host:port, the port between 1 and 65535")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def describe_servers(servers: Iterable[str]) -> str:
    """Return the brokers as an error names them."""
    return f"kafka://{','.join(servers)}"
