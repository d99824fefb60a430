"""The metrics of a topic's batches: a few additions per batch, none per record."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

from datastore.ingest.live_write import MarketChange
from datastore.reference.provider_clock import provider_now
from datastore.timeframes.intervals import SECOND_US, micros_of
from metering.table import (
    BATCH_RECORDS,
    BATCH_SECONDS,
    CLAIMS_TAKEN_BACK,
    DIFFERENCES,
    IDS_SHARED,
    LATENESS,
    RECORDS_LOST,
    SPANS_ENDED,
    STORING_SECONDS,
    TRADES_STORED,
)
from streaming.ends import EndCode
from streaming.records import Micros


class Receipts(NamedTuple):
    """When the trades of a batch arrived, by the provider's clock: the oldest, and on average those of each market."""

    oldest: Micros
    mean: Mapping[str, float]

    @classmethod
    def joined(cls, parts: Sequence[Receipts]) -> Receipts | None:
        """Return those of batches of different markets as one, None if there is none."""
        if not parts:
            return None
        return cls(min(one.oldest for one in parts), {market: at for one in parts for market, at in one.mean.items()})


_END_CODES = frozenset(EndCode)  # labels are bounded, whatever a record says
CLOCK_EVERY_S = 30.0
BATCH_STEPS = ("poll", "decode", "database", "cache")


class BatchMetrics:
    """The metrics of one topic."""

    def __init__(self, topic: str) -> None:
        self._sizes = BATCH_RECORDS.labels(topic)
        self._seconds = {step: BATCH_SECONDS.labels(topic, step) for step in BATCH_STEPS}
        self._lost = RECORDS_LOST.labels(topic)
        self._stored = LATENESS.labels("store")
        self._is_polled, self._clock_due = False, 0.0  # since the clock was read; when to read it anyway
        self._clock_offset: float | None = None  # seconds: provider's time - local monotonic

    def time_step(self, name: str) -> AbstractContextManager[object]:
        """Return a context manager that times this step of a batch."""
        return self._seconds[name].time()

    def polled(self, seconds: float) -> None:
        """Note how long the poll of a batch took, in seconds, with the time that it was left to grow."""
        self._is_polled = True
        self._seconds["poll"].observe(seconds)

    def lost(self, count: int) -> None:
        """Count records that the topic lost before they were read."""
        self._lost.inc(count)

    def beat(self) -> None:
        """Read the provider's clock, which dates the receipt of trades, if it is used or has not been read for long."""
        if not self._is_polled and time.monotonic() < self._clock_due:
            return
        self._is_polled, self._clock_due = False, time.monotonic() + CLOCK_EVERY_S
        self._clock_offset = micros_of(provider_now()) / SECOND_US - time.monotonic()

    def stored(self, records: int, changes: Sequence[MarketChange], received: Receipts | None) -> None:
        """Count a committed batch; received: when its trades arrived."""
        self._sizes.observe(records)
        now = None if self._clock_offset is None else time.monotonic() + self._clock_offset
        for change in changes:
            if change.trades_added:
                TRADES_STORED.labels(change.market).inc(change.trades_added)
                if now is not None and received is not None and change.market in received.mean:
                    waited = max(0.0, now - received.mean[change.market] / SECOND_US)
                    STORING_SECONDS.labels(change.market).inc(waited * change.trades_added)
            if change.taken_back_s:
                CLAIMS_TAKEN_BACK.labels(change.market).inc(change.taken_back_s)
            if change.ids_shared:
                IDS_SHARED.labels(change.market).inc(change.ids_shared)
            if change.candles_widened:
                DIFFERENCES.labels(change.market).inc(change.candles_widened)
            for code in change.ended:
                SPANS_ENDED.labels(code if code in _END_CODES else EndCode.OTHER).inc()
        if received is not None and now is not None:
            self._stored.observe(max(0.0, now - received.oldest / SECOND_US))
