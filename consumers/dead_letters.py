"""What a batch could not store becomes dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from consumers.record_batch import Batch
from datastore.dead_letters import DeadLetterRecord, store_dead_letters
from streaming.broker import Record
from streaming.refusals import Refusal


def quarantine(batch: Batch[Any], refused: Sequence[tuple[int, Refusal]]) -> int:
    """Store a batch's unreadable records and those that the write refused (index, why); return how many."""
    dead_letters = [dead_letter_of(bad.record, bad.refusal) for bad in batch.unreadable]
    dead_letters += [dead_letter_of(batch.origins[index], refusal) for index, refusal in refused]
    if dead_letters:
        store_dead_letters(dead_letters)
    return len(dead_letters)


def dead_letter_of(record: Record, refusal: Refusal) -> DeadLetterRecord:
    """Return a record's dead letter."""
    return DeadLetterRecord(record.topic, record.key, refusal, record.value, record.position)
