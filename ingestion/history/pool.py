"""The pool of history producers: rows that jobs own one after another."""

from __future__ import annotations

from django.conf import settings

from actor_runtime.models import ERROR
from ingestion.models import Producer

ROLE = "producer-history"


def ensure_pool() -> None:
    """Make the pool's rows that are missing or were retired."""
    names = {f"{ROLE}-{number}" for number in range(1, settings.PRODUCER_POOL + 1)}
    pool = Producer.objects.filter(name__in=names)
    Producer.objects.bulk_create(
        [Producer(name=name, role=ROLE) for name in names.difference(pool.values_list("name", flat=True))],
        ignore_conflicts=True,
    )
    pool.exclude(retired_at=None).update(retired_at=None, owner="")


def blocking_error() -> str | None:
    """Return the error for which the pool waits for a person; None if it may work.

    A key that was refused once is refused for all: the other rows need not try it too.
    """
    rows = Producer.objects.filter(role=ROLE, state=ERROR, reset_at=None, retired_at=None)
    waiting = rows.order_by("name").first()
    return f"{waiting.name} waits for a reset: {waiting.last_error}" if waiting else None
