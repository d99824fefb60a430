"""What a batch could not store goes to the dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from consumers.record_batch import Batch
from datastore.dead_letters import DeadLetterRecord, store_dead_letters
from streaming.broker import Record


def quarantine(batch: Batch[Any], refused: Sequence[tuple[int, str]]) -> int:
    """Keep a batch's unreadable records, and those that the write refused (index, reason); return how many."""
    letters = [letter(bad.record, bad.reason) for bad in batch.unreadable]
    letters += [letter(batch.origins[index], reason) for index, reason in refused]
    if letters:
        store_dead_letters(letters)
    return len(letters)


def letter(record: Record, reason: str) -> DeadLetterRecord:
    """Return a record's dead letter."""
    return DeadLetterRecord(record.topic, record.key, reason, record.value, record.position)
