"""API keys: made, revoked, and recognised without asking the database for every request.

A key's text is ck_<prefix>_<secret>. What the database says of one is believed for REMEMBERED seconds, so a revoked key
works at most that much longer in the processes that know it.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

from django.db.models import Q
from django.db.models.functions import Now

from datastore.models import ApiKey

KEY_PATTERN = re.compile(r"ck_[a-z0-9]{8}_[A-Za-z0-9_-]{43}")
KEY_CACHE_TTL_S = 10.0  # seconds
MAX_CACHED_KEYS = 10_000  # keys remembered of each kind, the known and the unknown
LAST_USED_INTERVAL = timedelta(minutes=1)
_LETTERS = string.ascii_lowercase + string.digits


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Who sends a key, and what it may do; rate and budget are None where the settings' apply."""

    name: str
    prefix: str
    writes: bool
    rate: int | None
    budget: int | None


class KeyCache:
    """What is known of keys by their hash, for a while and never of too many."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[float, KeyHolder | None]] = {}

    def find(self, digest: str) -> tuple[bool, KeyHolder | None]:
        """Return whether the answer is known, and the answer."""
        until, holder = self._kept.get(digest, (0.0, None))
        return monotonic() < until, holder

    def keep(self, digest: str, holder: KeyHolder | None) -> None:
        """Keep an answer; where there are too many, all others go: one look-up each brings back those in use."""
        if len(self._kept) >= MAX_CACHED_KEYS:
            self._kept.clear()
        self._kept[digest] = (monotonic() + KEY_CACHE_TTL_S, holder)

    def forget(self) -> None:
        """Know nothing."""
        self._kept.clear()


# Apart, so that a flood of invented keys pushes no real one out.
_known, _unknown = KeyCache(), KeyCache()


def make_key(name: str, scope: str, rate: int | None = None, budget: int | None = None) -> tuple[ApiKey, str]:
    """Make a key and return its row, not saved yet, and its text, which nothing can bring back later."""
    prefix = "".join(secrets.choice(_LETTERS) for _ in range(8))
    text = f"ck_{prefix}_{secrets.token_urlsafe(32)}"
    return ApiKey(name=name, prefix=prefix, sha256=_digest(text), scope=scope, rate=rate, budget=budget), text


def revoke_key(key: ApiKey) -> bool:
    """Revoke a key for good; False where it was already. Other processes go on for up to REMEMBERED seconds."""
    revoked = ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=Now())
    clear_key_cache()
    return bool(revoked)


def holder_of(text: str, before_asking: Callable[[], None]) -> KeyHolder | None:
    """Return whose key this text is, None where it is nobody's or revoked.

    before_asking is called where the database must be asked; what it raises keeps the database from being asked.
    """
    if not KEY_PATTERN.fullmatch(text):
        return None
    digest = _digest(text)
    for memory in (_known, _unknown):
        fresh, holder = memory.find(digest)
        if fresh:
            return holder
    before_asking()
    holder = _stored(digest)
    (_unknown if holder is None else _known).keep(digest, holder)
    return holder


def clear_key_cache() -> None:
    """Ask the database anew for every key that comes to this process."""
    _known.forget()
    _unknown.forget()


def _stored(digest: str) -> KeyHolder | None:
    key = ApiKey.objects.filter(sha256=digest, revoked_at=None).first()
    if key is None:
        return None
    # Only here, where the database is asked anyway: a key in use costs one write a minute, whatever its rate.
    stale = Q(last_used_at=None) | Q(last_used_at__lte=Now() - LAST_USED_INTERVAL)
    ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=Now())
    return KeyHolder(key.name, key.prefix, key.scope == ApiKey.Scope.WRITE, key.rate, key.budget)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
