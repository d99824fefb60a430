"""What is counted of a topic's batches: a few additions per batch, none per record."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager

from datastore.ingest.live_write import MarketChange
from datastore.reference.provider_clock import provider_now
from datastore.timeframes.intervals import SECOND_US, micros_of
from metering.table import BATCH_RECORDS, BATCH_SECONDS, LATENESS, RECORDS_LOST, TRADES_STORED
from streaming.records import Micros

PARTS = ("poll", "decode", "database", "cache")


class BatchMetrics:
    """The figures of one topic."""

    def __init__(self, topic: str) -> None:
        self._sizes = BATCH_RECORDS.labels(topic)
        self._seconds = {part: BATCH_SECONDS.labels(topic, part) for part in PARTS}
        self._lost = RECORDS_LOST.labels(topic)
        self._stored = LATENESS.labels("store")
        self._ahead: float | None = None  # provider's time - local monotonic, seconds

    def part(self, name: str) -> AbstractContextManager[object]:
        """Return what times a part of a batch."""
        return self._seconds[name].time()

    def polled(self, seconds: float) -> None:
        """Note how long the poll of a batch took, with the moment that it was left to grow."""
        self._seconds["poll"].observe(seconds)

    def lost(self, count: int) -> None:
        """Count records that the topic lost before they were read."""
        self._lost.inc(count)

    def beat(self) -> None:
        """Read the provider's clock, by which the receipt of trades is noted."""
        self._ahead = micros_of(provider_now()) / SECOND_US - time.monotonic()

    def stored(self, records: int, changes: Sequence[MarketChange], received: Micros | None) -> None:
        """Count a batch that is committed; received: when the provider's oldest trade of it arrived."""
        self._sizes.observe(records)
        for change in changes:
            if change.trades_added:
                TRADES_STORED.labels(change.market).inc(change.trades_added)
        if received is not None and self._ahead is not None:
            self._stored.observe(max(0.0, time.monotonic() + self._ahead - received / SECOND_US))
