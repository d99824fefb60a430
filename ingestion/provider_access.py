"""Where a provider is reached with which key, and with what it refused us: another one is tried without a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from django.conf import settings

from ingestion.models import Producer
from ingestion.providers.port import Provider
from ingestion.providers.table import PROVIDERS

ACCESS_CHANGED = "the provider's key or address has changed"  # why an Error ends
REST, STREAM = "rest", "stream"  # Host.serves


@dataclass(frozen=True, slots=True)
class Access:
    """One address of a provider, empty if none is set, our key, and the headers that carry it."""

    url: str
    key: str
    headers: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """Return a text that names address and key, and from which neither can be read."""
        return sha256(f"{self.url}\n{self.key}".encode()).hexdigest()[:16]


def access_of(provider: Provider, serves: str) -> Access:
    """Return how the provider's REST or STREAM host is reached, by the settings."""
    host = next(host for host in provider.traits.hosts if host.serves == serves)
    key = getattr(settings, provider.key_setting) if provider.key_setting else ""
    url = getattr(settings, host.setting) or (host.url if settings.LIVE else "")
    return Access(url, key, provider.headers(key))


def note_refused(session: Any, access: Access) -> None:
    """Note in the row of an actor's session with what it is refused, before the Error that waits for a person."""
    session.actor.refused_access = access.fingerprint
    Producer.objects.filter(name=session.name, epoch=session.epoch).update(refused_access=session.actor.refused_access)


def is_changed(producer: Any, access: Access) -> bool:
    """Return whether the Producer waits for a person only because of an address or key that is no longer set."""
    waits = producer.in_error and producer.reset_at is None
    return bool(waits and producer.refused_access and producer.refused_access != access.fingerprint)


def is_of_another(producer: Any, provider: Provider) -> bool:
    """Return whether it was another provider that refused what the Producer's row names."""
    others = (access_of(other, REST) for name, other in PROVIDERS.items() if name != provider.name)
    return producer.refused_access in {access.fingerprint for access in others}
