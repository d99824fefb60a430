"""Whose data this database holds: the identity that each provider states, for good."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction

from datastore.models import ProviderClock

UNNAMED = ""


class OtherProvider(Exception):
    """This database holds the data of another provider, or of markets that are simulated where this one is not."""

    def __init__(self, stored: str, found: str) -> None:
        super().__init__(f"this database holds data of {stored!r}, but the provider is {found!r}")
        self.stored = stored
        self.found = found


def remember_provider(provider: str, identity: str, simulated: bool) -> None:
    """Remember what a provider calls itself at the first call; raise OtherProvider if it is not what is remembered.

    Simulated and real prices never share a database: raise OtherProvider if another provider's are not of this kind.
    """
    with transaction.atomic():
        rows = {row.provider: row for row in ProviderClock.objects.select_for_update().order_by("provider")}
        for row in rows.values():
            differs = row.identity != identity if row.provider == provider else row.simulated != simulated
            if row.identity != UNNAMED and differs:
                raise OtherProvider(row.identity, identity)
        ProviderClock.objects.update_or_create(
            provider=provider, defaults={"identity": identity, "simulated": simulated}
        )


def other_provider(provider: str, identity: str) -> str | None:
    """Return what a provider is remembered to call itself if it differs from this, else None."""
    stored = ProviderClock.objects.filter(provider=provider).first()
    known = stored.identity if stored else UNNAMED
    return known if identity and known not in (UNNAMED, identity) else None


def current_provider(providers: Iterable[str] | None = None) -> tuple[str, bool]:
    """Return what these providers, or all of them, call themselves, and whether any of their data is simulated.

    Several names are joined by commas; the text is empty if none is remembered.
    """
    rows = ProviderClock.objects.exclude(identity=UNNAMED).order_by("provider")
    found = list(rows if providers is None else rows.filter(provider__in=providers))
    return ", ".join(dict.fromkeys(row.identity for row in found)), any(row.simulated for row in found)
