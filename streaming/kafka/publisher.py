"""Writes to Kafka through the library's idempotent producer, which we do not trust to recover.

It numbers its batches, so each partition holds its records in the order of their sending and once, whatever a broker
does in between. Two things stop it for good: a record that the broker refuses (every later one then fails with the
same error), and a batch given up after it was sent (the others then wait without end). So nothing is left in it:
publish() waits for all it has sent, and at the first failure the producer is thrown away with what it still holds. The
next publish() makes a new one, and its caller sends again what was not acknowledged, before anything newer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from kafka import errors as library

from streaming.broker import Message, batch_ranges, check_messages
from streaming.errors import BadRecord, PublishFailed, StreamError, StreamUnavailable, TopicMissing
from streaming.kafka import internals
from streaming.kafka.admin_queries import AdminQueries
from streaming.kafka.connection import KafkaConnection, close_quietly, wire_name
from streaming.kafka.errors import CLIENT_ERRORS, error_text
from streaming.refusals import RefusalCode

MAX_WINDOW_RECORDS = 2000  # in flight
MAX_WINDOW_BYTES = 4 * 1024 * 1024
ACK_TIMEOUT_S = 2.5  # after which the oldest of a window is considered lost
THREAD_EXIT_TIMEOUT_S = 0.5
# What a broker will refuse however often it is sent. Not a timestamp: ours are the broker's, or its clock's fault.
_REFUSALS = (
    library.CorruptRecordError,
    library.InvalidRecordError,
    library.MessageSizeTooLargeError,
    library.RecordListTooLargeError,
    library.UnsupportedCompressionTypeError,
)


class KafkaPublisher:
    """Appends records, a window at a time; the next one is sent when all of it is acknowledged."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection
        self._queries = AdminQueries(connection)
        self._producer: Any = None
        self._seen: set[str] = set()  # topics that this producer has found

    def publish(self, topic: str, messages: Sequence[Message]) -> None:
        """Return when all are acknowledged; raise PublishFailed, TopicMissing or BadRecord.

        The failed records may be there all the same: then they are there twice once they are sent again, and the
        reader sees that by their number. A BadRecord that the broker refused leaves the others of its window in the
        same doubt; with one that check_messages refused, nothing was sent.
        """
        check_messages(messages)
        name = wire_name(topic)
        for start, stop in batch_ranges(messages, MAX_WINDOW_RECORDS, MAX_WINDOW_BYTES):
            try:
                # First find the topic: sending to one that is missing would block for each record.
                if name not in self._seen:
                    self._queries.topics({name: topic})
                if self._producer is None:
                    self._producer = self._connection.producer()
                self._seen.add(name)
            except StreamUnavailable as exc:
                raise PublishFailed(str(exc), range(start, len(messages))) from exc
            window = _Window(messages[start:stop])
            window.send(self._producer, name)
            if window.is_acknowledged():
                continue
            internals.abandon(self._producer, THREAD_EXIT_TIMEOUT_S)
            self._producer = None
            self._seen.clear()
            raise self._failure(window, topic, start, len(messages))

    def close(self) -> None:
        """Close the connections."""
        close_quietly(self._producer, timeout=THREAD_EXIT_TIMEOUT_S)
        self._producer = None
        self._queries.close()

    def _failure(self, window: _Window, topic: str, start: int, count: int) -> StreamError:
        if window.refused is not None:
            index, reason = window.refused
            return BadRecord(
                f"record {start + index}: the broker refuses it: {reason}", start + index, RefusalCode.OTHER
            )
        with suppress(StreamUnavailable):
            if not self._queries.existing([wire_name(topic)]):
                return TopicMissing(f"there is no topic {topic}")
        failed = [start + index for index in window.failed()]
        return PublishFailed(window.reason, [*failed, *range(start + window.size, count)])


class _Window:
    """Records that are in flight together, and what became of them."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.size = len(messages)
        self.reason = f"not acknowledged within {ACK_TIMEOUT_S:g} s"
        self.refused: tuple[int, str] | None = None
        self._messages = messages
        self._futures: list[Any] = []
        self._lock = threading.Lock()

    def send(self, producer: Any, name: str) -> None:
        """Send all, and wait until each has succeeded or failed, or time is up."""
        deadline = time.monotonic() + ACK_TIMEOUT_S
        try:
            for index, message in enumerate(self._messages):
                future = producer.send(name, value=message.value, key=message.key.encode())
                future.add_errback(self._note_error, index)
                self._futures.append(future)
            while not all(future.is_done for future in self._futures) and time.monotonic() < deadline:
                # If a batch was too large and is sent in parts, the library ends its waiting with UnknownError.
                with suppress(library.UnknownError):
                    producer.flush(timeout=max(0.1, deadline - time.monotonic()))
        except library.KafkaTimeoutError:
            pass  # what was acknowledged until now is
        except CLIENT_ERRORS as exc:
            self.reason = error_text(exc)

    def _note_error(self, index: int, exc: Exception) -> None:
        """Remember the first refusal: the library passes its error on to all that it still holds."""
        with self._lock:
            if self.refused is None and isinstance(exc, _REFUSALS):
                self.refused = index, error_text(exc)
            elif not isinstance(exc, library.KafkaTimeoutError | library.IllegalStateError):  # these we cause ourselves
                self.reason = error_text(exc)

    def is_acknowledged(self) -> bool:
        """Return whether all are acknowledged."""
        return len(self._futures) == self.size and not self.failed()

    def failed(self) -> list[int]:
        """Return the indices of those that are not acknowledged, ascending."""
        sent = len(self._futures)
        return [index for index in range(self.size) if index >= sent or not self._futures[index].succeeded()]
