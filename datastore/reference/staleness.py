"""After how much silence a feed counts as stale."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings


def stale_after() -> timedelta:
    """Return the setting STALE_AFTER."""
    return timedelta(seconds=settings.STALE_AFTER)
