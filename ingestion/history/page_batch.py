"""A page as it is published: its messages, and what is noted once they are acknowledged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from streaming.broker import Message
from streaming.history_records import HistoryRecord, encode_history


@dataclass(slots=True)
class Batch:
    """What is to be published next, and what is noted once it is acknowledged; last: the request is then whole."""

    messages: list[Message]
    advance: Callable[[], None]
    last: bool


def message_of(record: HistoryRecord) -> Message:
    """Return a record of history as it goes to the stream."""
    return Message(record.market, encode_history(record))


def history_batch(records: list[HistoryRecord], advance: Callable[[], None], last: bool) -> Batch:
    """Return the batch of these records."""
    return Batch([message_of(record) for record in records], advance, last)
