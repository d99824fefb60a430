"""Whose data this database holds: the identity that its provider states, for good."""

from __future__ import annotations

from django.db import transaction

from datastore.models import ProviderClock

UNNAMED = ""


class OtherProvider(Exception):
    """This database holds the data of another provider."""

    def __init__(self, stored: str, found: str) -> None:
        super().__init__(f"this database holds data of {stored!r}, but the provider is {found!r}")
        self.stored = stored
        self.found = found


def remember_provider(name: str, simulated: bool) -> None:
    """Remember the provider at the first call; raise OtherProvider if it is not the remembered one."""
    with transaction.atomic():
        stored = ProviderClock.objects.select_for_update().first()
        if stored is None:
            ProviderClock.objects.create(provider=name, simulated=simulated)
        elif stored.provider == UNNAMED:
            ProviderClock.objects.filter(provider=UNNAMED).update(provider=name, simulated=simulated)
        elif stored.provider != name:
            raise OtherProvider(stored.provider, name)


def other_provider(name: str) -> str | None:
    """Return the remembered provider's name if it differs from this one, else None."""
    known, _ = current_provider()
    return known if name and known not in (UNNAMED, name) else None


def current_provider() -> tuple[str, bool]:
    """Return the provider's name (empty if none is remembered) and whether its data is simulated."""
    stored = ProviderClock.objects.first()
    return (stored.provider, stored.simulated) if stored else (UNNAMED, False)
