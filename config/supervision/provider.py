"""The provider's identity, as its own server states it."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Identity:
    """A provider's name, and whether its prices are simulated."""

    name: str
    simulated: bool


def parse_identity(header: str) -> Identity:
    """Parse the header X-Provider: `<name>` or `<name>; simulated`."""
    name, *marks = (part.strip() for part in header.split(";"))
    return Identity(name, "simulated" in marks)


def host_identity(rest_url: str) -> Identity:
    """Return the identity of a provider that does not send X-Provider: its host, not simulated."""
    return Identity(urlsplit(rest_url).hostname or rest_url, simulated=False)


def ask_identity(rest_url: str, seconds: float = 2) -> Identity | None:
    """Return the identity of the provider at this REST address, None if it does not answer in this time."""
    url = urlsplit(rest_url)
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.hostname or "", url.port, timeout=seconds)
    try:
        connection.request("GET", url.path or "/")
        header = connection.getresponse().getheader("X-Provider")
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return parse_identity(header) if header else host_identity(rest_url)
