"""What keeps `manage.py up` from starting, or ends it."""

from __future__ import annotations


class StartError(Exception):
    """Candlekeep cannot start; the message names the fix."""


class CrashLoop(StartError):
    """A process dies again and again at its start, so the start cannot succeed."""


class StartCancelled(Exception):
    """The user asked to stop during the start."""
