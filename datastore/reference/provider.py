"""Whose data this database holds, one provider's for good, and what is peculiar to that provider's answers."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from django.db import transaction

from datastore.models import ProviderClock

UNNAMED = ""
# By resolution in seconds: the provider's answers may be this old, so a candle is final once it ended longer ago.
CACHE_AGE = {60: timedelta(seconds=60), 3600: timedelta(seconds=660), 86400: timedelta(seconds=660)}

# The provider's open is the previous close (CryptoCompare, in practice), and its volumes are sums of 64-bit floats.
OPEN_IS_PRIOR_CLOSE = True
VOLUME_TOLERANCE = Decimal("1e-6")  # relative to the greater of the two
MINUTE_RETENTION = timedelta(days=7)  # how far back it has minutes; if less, its answer says so


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
