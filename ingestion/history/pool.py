"""The pool of history producers: rows that jobs own one after another."""

from __future__ import annotations

from contextlib import suppress

from django.conf import settings

from actor_runtime.errors import NotInError
from actor_runtime.manual_reset import reset
from actor_runtime.models import ERROR
from ingestion.models import Producer
from ingestion.provider_access import ACCESS_CHANGED, REST, access_of, is_changed, is_of_another
from ingestion.providers.port import Provider

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


def blocking_error(provider: Provider) -> str | None:
    """Return the error for which the provider's jobs wait for a person, and what to do about it; None if they may work.

    A key that was refused once is refused for all: the other rows need not try it too. A row that waits because of a
    key or address that has been changed since is reset.
    """
    access = access_of(provider, REST)
    rows = Producer.objects.filter(role=ROLE, state=ERROR, reset_at=None, retired_at=None)
    for row in rows.order_by("name"):
        if is_of_another(row, provider):
            continue
        if is_changed(row, access):
            with suppress(NotInError):  # another process was quicker
                reset(Producer, row.name, by=ACCESS_CHANGED)
            continue
        return (
            f"{row.name} waits for a reset: {row.last_error}; "
            f"set another key, or mend the cause and run manage.py reset_actor {row.name}"
        )
    return None
