"""Dead letters: records that could not be stored, with their bytes and the reason, and how they are published again.

A replayed letter goes back to its topic, where the ordinary consumer handles it; nothing here decides what it is worth.
A record that is stored already changes nothing; a trade of an old number is stored and claims nothing; what is refused
again becomes a dead letter of its own, with the new reason.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from django.db import transaction
from django.db.models.functions import Now

from actor_runtime.configured_broker import configured_broker
from datastore.models import DeadLetter
from metering.table import REFUSED
from streaming.broker import Message
from streaming.errors import BadRecord, TopicMissing
from streaming.topics import label

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
class DeadLetterRecord:
    """One record for the quarantine; position is the broker's name of its place, empty where it has none."""

    topic: str
    market: str | None
    reason: str
    raw: bytes
    position: str = ""


def store_dead_letters(letters: Iterable[DeadLetterRecord]) -> None:
    """Keep records that could not be stored; a place that is already kept is left as it is."""
    kept = list(letters)
    DeadLetter.objects.bulk_create([_row(letter) for letter in kept], ignore_conflicts=True)
    transaction.on_commit(
        partial(_count, Counter((label(letter.topic), reason_class(letter.reason)) for letter in kept))
    )


def _count(kinds: Mapping[tuple[str, str], int]) -> None:
    for labels, count in kinds.items():
        REFUSED.labels(*labels).inc(count)


def reason_class(reason: str) -> str:
    """Return the class of a reason, which bounds what is counted apart."""
    return next((name for name, pattern in _CLASSES if pattern.search(reason)), "other")


def _row(letter: DeadLetterRecord) -> DeadLetter:
    # PostgreSQL's text holds no zero byte; the raw bytes keep it.
    market = None if letter.market is None else letter.market.replace("\0", "")
    return DeadLetter(
        topic=letter.topic,
        market=market,
        reason=letter.reason.replace("\0", ""),
        raw=letter.raw,
        position=letter.position,
    )


class NotReplayable(Exception):
    """This letter cannot be published again."""


def obstacle(letter: DeadLetter) -> str | None:
    """Return why a letter cannot be published again, None where it can."""
    if not letter.position:
        return "It is a frame of the provider's that never became a record: there is no topic to publish it to."
    return None if letter.market else "It names no market, so it has no key to be published under."


def replay(letter: DeadLetter, by: str) -> None:
    """Publish a letter's bytes to its topic again, and note by whom. Raises NotReplayable, StreamUnavailable."""
    if reason := obstacle(letter):
        raise NotReplayable(reason)
    publisher = configured_broker().publisher()
    try:
        publisher.publish(letter.topic, [Message(letter.market or "", bytes(letter.raw))])
    except TopicMissing:
        raise NotReplayable(f"The topic {letter.topic} does not exist any more.") from None
    except BadRecord as exc:
        raise NotReplayable(f"The broker does not take it: {exc}.") from None
    finally:
        publisher.close()
    # After the topic has it: if we die in between, it is replayed and not marked, and may be replayed again.
    DeadLetter.objects.filter(pk=letter.pk).update(replayed_at=Now(), replayed_by=by)
