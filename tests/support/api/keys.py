"""API keys as rows."""

from __future__ import annotations

from datastore.access.api_keys import make_key


def saved_key(name: str, scope: str, rate: int | None = None, budget: int | None = None) -> str:
    """Make a key and return its text."""
    key, text = make_key(name, scope, rate, budget)
    key.save()
    return text
