"""API keys: made, revoked, and recognised without asking the database for every request.

A key's text is ck_<prefix>_<secret>. What the database says of a key is cached for KEY_CACHE_TTL_S, so a revoked key
works for at most that much longer in processes that have seen it.
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

from cachetools import TTLCache
from django.db.models import Q

from actor_runtime.steady_time import SteadyNow
from datastore.access.shared_cache import SharedCache
from datastore.models import ApiKey

KEY_BEGINNING = "ck_"
KEY_PATTERN = re.compile(rf"{KEY_BEGINNING}[a-z0-9]{{8}}_[A-Za-z0-9_-]{{43}}")
KEY_CACHE_TTL_S = 10.0
MAX_CACHED_KEYS = 10_000  # of each kind, the known and the unknown
LAST_USED_INTERVAL = timedelta(minutes=1)  # a key's last use is stored to this precision
_PREFIX_LETTERS = string.ascii_lowercase + string.digits


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Whose key it is and what it may do; rate (requests a minute) and budget (pages a day): None for the settings'."""

    name: str
    prefix: str
    writes: bool
    rate: int | None
    budget: int | None


# By a key's hash. Two caches, so that a flood of invented keys pushes no real one out.
_known: SharedCache[str, KeyHolder] = SharedCache(TTLCache(MAX_CACHED_KEYS, KEY_CACHE_TTL_S, lambda: monotonic()))
_unknown: SharedCache[str, bool] = SharedCache(TTLCache(MAX_CACHED_KEYS, KEY_CACHE_TTL_S, lambda: monotonic()))


def make_key(name: str, scope: str, rate: int | None = None, budget: int | None = None) -> tuple[ApiKey, str]:
    """Return a new key's row, not saved yet, and its text, which cannot be recovered later."""
    prefix = "".join(secrets.choice(_PREFIX_LETTERS) for _ in range(8))
    text = f"ck_{prefix}_{secrets.token_urlsafe(32)}"
    return ApiKey(name=name, prefix=prefix, sha256=_digest(text), scope=scope, rate=rate, budget=budget), text


def revoke_key(key: ApiKey) -> bool:
    """Revoke a key for good; False if it was revoked already. Other processes accept it for up to KEY_CACHE_TTL_S."""
    revoked = ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=SteadyNow())
    clear_key_cache()
    return bool(revoked)


def holder_of(text: str, before_asking: Callable[[], None]) -> KeyHolder | None:
    """Return the holder of the key with this text, None if there is no such key or it was revoked.

    before_asking is called only before the database is asked; if it raises, the database is not asked.
    """
    if not KEY_PATTERN.fullmatch(text):
        return None
    digest = _digest(text)
    if (holder := _known.get(digest)) or _unknown.get(digest):
        return holder

    before_asking()
    key = ApiKey.objects.filter(sha256=digest, revoked_at=None).first()
    if key is None:
        _unknown.put(digest, True)
        return None

    # Only here, where the database is asked anyway: a key in use costs one write a minute, whatever its rate.
    stale = Q(last_used_at=None) | Q(last_used_at__lte=SteadyNow() - LAST_USED_INTERVAL)
    ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=SteadyNow())
    holder = KeyHolder(key.name, key.prefix, key.scope == ApiKey.Scope.WRITE, key.rate, key.budget)
    _known.put(digest, holder)
    return holder


def clear_key_cache() -> None:
    """Ask the database for every key again."""
    _known.clear()
    _unknown.clear()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
