"""How often a provider may be called: as it says, or as the settings PROVIDER_CALLS_PER_… have it instead."""

from __future__ import annotations

from django.conf import settings

from datastore.reference.traits import Traits

WINDOW_NAMES = {1: "second", 60: "minute", 3600: "hour", 86_400: "day"}  # by length in seconds


def calls_allowed(provider: Traits) -> dict[int, int]:
    """Return the most calls within any so many seconds, by these seconds, the shortest time first."""
    limits = {window.seconds: window.limit for window in provider.limits.calls}
    for seconds, name in WINDOW_NAMES.items():
        if given := getattr(settings, f"PROVIDER_CALLS_PER_{name.upper()}"):
            limits[seconds] = given
    return dict(sorted(limits.items()))
