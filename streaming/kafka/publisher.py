"""Writes to Kafka through the library's idempotent producer, which we do not trust to recover.

It numbers its batches, so each partition holds its records in the order of their sending and once, over whatever a
broker does. Two things stop it for ever: a record that the broker refuses for good (every later one then fails with
the same error), and a batch given up after it was sent (the others then wait without end). So nothing is left in it:
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

from streaming.broker import Message, check_messages, runs
from streaming.errors import BadRecord, PublishFailed, StreamError, StreamUnavailable, TopicMissing
from streaming.kafka.admin_queries import AdminQueries
from streaming.kafka.connection import TROUBLE, KafkaConnection, close, reason_of, wire_name

WINDOW_RECORDS = 2000  # in flight at the most
WINDOW_BYTES = 4 * 1024 * 1024
ACKNOWLEDGED_WITHIN = 2.5  # seconds; then the oldest of a window is taken for lost
GONE_WITHIN = 0.5  # seconds that a producer's thread is waited for
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

    def __init__(self, link: KafkaConnection) -> None:
        self._link = link
        self._questions = AdminQueries(link)
        self._producer: Any = None
        self._seen: set[str] = set()  # topics that this producer has found

    def publish(self, topic: str, messages: Sequence[Message]) -> None:
        """Return when all are acknowledged. Raises PublishFailed, TopicMissing, BadRecord.

        The failed records may be there all the same: then they are there twice once they are sent again, and the
        reader tells by their number. A BadRecord that the broker refused, instead of us, leaves the others of its
        window in the same doubt.
        """
        check_messages(messages)
        name = wire_name(topic)
        for start, stop in runs(messages, WINDOW_RECORDS, WINDOW_BYTES):
            try:
                self._open(name, topic)
            except StreamUnavailable as exc:
                raise PublishFailed(str(exc), range(start, len(messages))) from exc
            window = _Window(self._producer, name, messages[start:stop])
            if window.acknowledged():
                continue
            self._abandon()
            raise self._failure(window, topic, start, len(messages))

    def close(self) -> None:
        """Give the connections back."""
        close(self._producer, timeout=GONE_WITHIN)
        self._producer = None
        self._questions.close()

    def _open(self, name: str, topic: str) -> None:
        """Have a producer that knows the topic: sending to one that is missing would block for each record."""
        if name not in self._seen:
            self._questions.topics({name: topic})
        if self._producer is None:
            self._producer = self._link.producer()
        self._seen.add(name)

    def _abandon(self) -> None:
        """Throw the producer away with all it holds, so that nothing old can overtake what is sent from now on."""
        producer, self._producer = self._producer, None
        self._seen.clear()
        sender = producer._sender
        # close() alone would first wait for what it holds, and keep the thread that sends it where that fails.
        sender.force_close()
        sender.join(GONE_WITHIN)
        if not sender.is_alive():
            close(producer, timeout=0)
            return
        producer._closed = True  # it ends by itself; nobody, not even the garbage collector, shall wait for it
        with suppress(Exception):
            producer._unregister_cleanup()

    def _failure(self, window: _Window, topic: str, start: int, count: int) -> StreamError:
        if window.refused is not None:
            index, reason = window.refused
            return BadRecord(f"record {start + index}: the broker refuses it: {reason}", start + index)
        if self._is_missing(topic):
            return TopicMissing(f"there is no topic {topic}")
        failed = [start + index for index in window.failed()]
        return PublishFailed(window.reason, [*failed, *range(start + window.size, count)])

    def _is_missing(self, topic: str) -> bool:
        with suppress(StreamUnavailable):
            return not self._questions.found([wire_name(topic)])
        return False


class _Window:
    """Records that are in flight together, and what became of them."""

    def __init__(self, producer: Any, name: str, messages: Sequence[Message]) -> None:
        self.size = len(messages)
        self.reason = f"not acknowledged within {ACKNOWLEDGED_WITHIN:g} s"
        self.refused: tuple[int, str] | None = None
        self._futures: list[Any] = []
        self._lock = threading.Lock()
        self._send(producer, name, messages)

    def _send(self, producer: Any, name: str, messages: Sequence[Message]) -> None:
        deadline = time.monotonic() + ACKNOWLEDGED_WITHIN
        try:
            for index, message in enumerate(messages):
                future = producer.send(name, value=message.value, key=message.key.encode())
                future.add_errback(self._note, index)
                self._futures.append(future)
            while not self._is_over() and time.monotonic() < deadline:
                self._flush(producer, max(0.1, deadline - time.monotonic()))
        except library.KafkaTimeoutError:
            pass  # what was acknowledged until now is
        except TROUBLE as exc:
            self.reason = reason_of(exc)

    def _flush(self, producer: Any, seconds: float) -> None:
        # Where a batch was too large and is sent in parts, the library ends its waiting with this.
        with suppress(library.UnknownError):
            producer.flush(timeout=seconds)

    def _is_over(self) -> bool:
        return all(future.is_done for future in self._futures)

    def _note(self, index: int, exc: Exception) -> None:
        """Remember the first refusal: the library hands its error on to all that it still holds."""
        with self._lock:
            if self.refused is None and isinstance(exc, _REFUSALS):
                self.refused = index, reason_of(exc)
            elif not isinstance(exc, library.KafkaTimeoutError | library.IllegalStateError):  # these are our own doing
                self.reason = reason_of(exc)

    def acknowledged(self) -> bool:
        """Tell whether all are."""
        return len(self._futures) == self.size and not self.failed()

    def failed(self) -> list[int]:
        """Return the indices of those that are not acknowledged, ascending."""
        sent = len(self._futures)
        return [index for index in range(self.size) if index >= sent or not self._futures[index].succeeded()]
