"""Dead letters: records that could not be stored, with their bytes and the reason, and how they are published again.

A replayed dead letter goes back to its topic, where the ordinary consumer handles it; nothing here judges it. A record
that is stored already changes nothing, a trade with an old number is stored but proves nothing, and a record that is
refused again becomes a new dead letter with the new reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from django.db import transaction
from django.db.models.functions import Now

from actor_runtime.configured_broker import configured_broker
from datastore.models import DeadLetter
from metering.table import REFUSED
from streaming.broker import Message
from streaming.errors import BadRecord, TopicMissing
from streaming.refusals import Refusal
from streaming.topics import metric_label


@dataclass(frozen=True, slots=True)
class DeadLetterRecord:
    """A record for the quarantine; position: the broker's name of its place in the topic, empty if it has none."""

    topic: str
    market: str | None
    refusal: Refusal
    raw: bytes
    position: str = ""


def store_dead_letters(records: Iterable[DeadLetterRecord]) -> None:
    """Store records that could not be handled; one that is stored already, by its position, is left as it is.

    A topic that was made again counts its positions from the start: another record of the same position is kept too.
    """
    found = list(records)
    rows = [
        DeadLetter(
            topic=record.topic,
            # PostgreSQL's text holds no zero byte; the raw bytes keep it.
            market=None if record.market is None else record.market.replace("\0", ""),
            code=record.refusal.code,
            reason=record.refusal.detail.replace("\0", ""),
            raw=record.raw,
            position=record.position,
        )
        for record in found
    ]

    # Where a place is that of a stored one with other content, the position names the content too.
    placed = [row for row in rows if row.position]
    if placed:
        stored = DeadLetter.objects.filter(
            topic__in={row.topic for row in placed}, position__in={row.position for row in placed}
        )
        known = {
            (topic, position): bytes(raw) for topic, position, raw in stored.values_list("topic", "position", "raw")
        }
        for row in placed:
            if known.get((row.topic, row.position), row.raw) != row.raw:
                row.position = f"{row.position} {sha256(row.raw).hexdigest()[:16]}"

    DeadLetter.objects.bulk_create(rows, ignore_conflicts=True)

    def count() -> None:
        kinds = Counter((metric_label(record.topic), record.refusal.code.value) for record in found)
        for labels, number in kinds.items():
            REFUSED.labels(*labels).inc(number)

    transaction.on_commit(count)


class NotReplayable(Exception):
    """This dead letter cannot be published again."""


def replay_obstacle(letter: DeadLetter) -> str | None:
    """Return why a dead letter cannot be published again, None if it can."""
    if not letter.position:
        return "It is a frame of the provider's that never became a record: there is no topic to publish it to."
    return None if letter.market else "It names no market, so it has no key to be published under."


def replay(letter: DeadLetter, by: str) -> None:
    """Publish a dead letter's bytes to its topic again, and note by whom; raise NotReplayable or StreamUnavailable."""
    if reason := replay_obstacle(letter):
        raise NotReplayable(reason)
    publisher = configured_broker().publisher()
    try:
        publisher.publish(letter.topic, [Message(letter.market or "", bytes(letter.raw))])
    except TopicMissing:
        raise NotReplayable(f"The topic {letter.topic} no longer exists.") from None
    except BadRecord as exc:
        raise NotReplayable(f"The broker does not accept it: {exc}.") from None
    finally:
        publisher.close()
    # Marked after publishing: if the process dies in between, it is published, not marked, and can be replayed again.
    DeadLetter.objects.filter(pk=letter.pk).update(replayed_at=Now(), replayed_by=by)
