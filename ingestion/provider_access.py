"""With which address and key the provider refused us: another one is tried without a person."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from django.conf import settings

from ingestion.models import Producer

ACCESS_CHANGED = "the provider's key or address has changed"  # why an Error ends


def fingerprint(url: str) -> str:
    """Return a text that names an address of the provider and our key for it, and from which neither can be read."""
    return sha256(f"{url}\n{settings.CRYPTOCOMPARE_API_KEY}".encode()).hexdigest()[:16]


def note_refused(session: Any, url: str) -> None:
    """Note in the row of an actor's session with what it is refused, before the Error that waits for a person."""
    session.actor.refused_access = fingerprint(url)
    Producer.objects.filter(name=session.name, epoch=session.epoch).update(refused_access=session.actor.refused_access)


def is_changed(producer: Any, url: str) -> bool:
    """Return whether the Producer waits for a person only because of an address or key that is no longer set."""
    waits = producer.in_error and producer.reset_at is None
    return bool(waits and producer.refused_access and producer.refused_access != fingerprint(url))
