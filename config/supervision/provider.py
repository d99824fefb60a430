"""The first contact with the providers: who they say that they are, and whether they serve us at all."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from django.conf import settings

from config.provider_settings import host_settings
from ingestion.provider_access import REST, access_of
from ingestion.providers.answers import Answer, Blocked, why
from ingestion.providers.port import Provider
from ingestion.providers.table import configured

MAX_ANSWER_BYTES = 100_000


@dataclass(frozen=True, slots=True)
class Identity:
    """A provider's name, and whether its prices are simulated."""

    name: str
    simulated: bool


@dataclass(frozen=True, slots=True)
class Contact:
    """What came of asking a provider; trouble: why it does not answer, or answers nobody here, "" if it serves us."""

    provider: str
    identity: Identity
    answered: bool
    trouble: str = ""


def parse_identity(header: str) -> Identity:
    """Parse the header X-Provider: `<name>` or `<name>; simulated`."""
    name, *marks = (part.strip() for part in header.split(";"))
    return Identity(name, "simulated" in marks)


def host_identity(rest_url: str) -> Identity:
    """Return the identity of a provider that does not send X-Provider: its host, not simulated."""
    return Identity(urlsplit(rest_url).hostname or rest_url, simulated=False)


def contact_all(seconds: float = 2, addresses: Mapping[str, str] | None = None) -> list[Contact]:
    """Ask every provider of the setting PROVIDERS at once, each for at most so many seconds.

    addresses: of a simulator that this process was not started with, by the names of their settings.
    """
    providers = configured()
    with ThreadPoolExecutor(len(providers)) as pool:
        return list(pool.map(lambda provider: contact(provider, seconds, addresses or {}), providers))


def contact(provider: Provider, seconds: float, addresses: Mapping[str, str]) -> Contact:
    """Ask a provider for its clock, or for anything if it has none."""
    access = access_of(provider, REST)
    rest_setting, _ = host_settings(provider.name)
    access = replace(access, url=addresses.get(rest_setting) or access.url)
    url, asked = urlsplit(access.url), provider.catalogue.time_request()
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.hostname or "", url.port, timeout=seconds)
    try:
        headers = {"User-Agent": "candlekeep", **access.headers}
        connection.request("GET", url.path.rstrip("/") + (asked.path if asked else "/"), headers=headers)
        response = connection.getresponse()
        answer = Answer(response.status, dict(response.getheaders()), response.read(MAX_ANSWER_BYTES))
        header = response.getheader("X-Provider")
    except (OSError, http.client.HTTPException) as error:
        return Contact(provider.name, host_identity(access.url), False, f"{url.hostname} does not answer ({error})")
    finally:
        connection.close()
    identity = parse_identity(header) if header else host_identity(access.url)
    said = provider.catalogue.read_time(answer) if asked else None
    # Anything else that a provider complains of may be over when the actors ask.
    blocked = said if isinstance(said, Blocked) else None
    return Contact(provider.name, identity, True, f"{url.hostname}: {why(blocked)}" if blocked else "")


def nobody_answers(contacts: list[Contact]) -> str:
    """Return what to say where no provider can be reached."""
    reasons = "; ".join(contact.trouble for contact in contacts)
    if settings.LIVE:
        return f"No provider can be reached: {reasons}. Real prices need a network; `make run` shows simulated ones."
    return f"No provider can be reached: {reasons}."
