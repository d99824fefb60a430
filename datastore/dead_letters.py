"""Quarantine: records that could not be stored, with their bytes and the reason."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from django.db import transaction

from datastore.models import DeadLetter
from metering.table import REFUSED
from streaming.topics import FIXED

# The class of a reason by what its sentence says, the first that fits; the sentence itself stays in the letter.
CLASSES = {
    "unknown_market": "unknown market",
    "ahead": "ahead of the provider's clock|not over yet",
    "too_old": "older than",
    "subscription": "refuses the subscription",
    "number": "out of range|not a number|not a possible number|price or an amount",
    "lost": "stream lost",
    "zeros": "zeros instead",
    "misplaced": "under the key|not whole buckets",
    "unreadable": "without|characters?|zero byte|Expected|Object|JSON|malformed|decode|utf-8|truncated",
}
_CLASSES = [(name, re.compile(pattern)) for name, pattern in CLASSES.items()]


@dataclass(frozen=True, slots=True)
class Letter:
    """One record for the quarantine; position is the broker's name of its place, empty where it has none."""

    topic: str
    market: str | None
    reason: str
    raw: bytes
    position: str = ""


def bury_all(letters: Iterable[Letter]) -> None:
    """Keep records that could not be stored; a place that is already kept is left as it is."""
    kept = list(letters)
    DeadLetter.objects.bulk_create([_row(letter) for letter in kept], ignore_conflicts=True)
    transaction.on_commit(
        partial(_count, Counter((_kind(letter.topic), reason_class(letter.reason)) for letter in kept))
    )


def _count(kinds: Mapping[tuple[str, str], int]) -> None:
    for labels, count in kinds.items():
        REFUSED.labels(*labels).inc(count)


def _kind(topic: str) -> str:
    """Return the topic's label: dynamic ones come without end, so they are counted together."""
    return topic if topic in FIXED else "dynamic"


def reason_class(reason: str) -> str:
    """Return the class of a reason, which bounds what is counted apart."""
    return next((name for name, pattern in _CLASSES if pattern.search(reason)), "other")


def _row(letter: Letter) -> DeadLetter:
    # PostgreSQL's text holds no zero byte; the raw bytes keep it.
    market = None if letter.market is None else letter.market.replace("\0", "")
    return DeadLetter(
        topic=letter.topic,
        market=market,
        reason=letter.reason.replace("\0", ""),
        raw=letter.raw,
        position=letter.position,
    )
