"""A checked file of candles -> the provider's candles, and that it has answered for them: as REST history is stored.

A row proves its bucket, a quiet one that nothing was traded. A bucket without a row is not proven: the venue leaves
those out in which it did not trade at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import groupby

from django.db import transaction

from datastore.backfill.history_write import store_history
from datastore.imports.checked_file import BadFile, CheckedFile, Progress
from datastore.imports.rows import CandleRow
from datastore.ingest import market_cache
from datastore.models import Coverage, Market, ProviderCandle
from datastore.reference.provider_clock import provider_now
from datastore.timeframes.intervals import SECOND_US, Interval, clip, micros_of, moment, union
from streaming.history_records import HistoryRecord, ProviderSpan
from streaming.history_records import ProviderCandle as CandleRecord

NO_REQUEST = 0  # the records belong to no FetchRequest


@dataclass
class CandleImport:
    """What a checked file brings to a market: how many of its rows are new, stored already, or stored otherwise."""

    market: Market
    file: CheckedFile[CandleRow]
    resolution: int
    new: int = 0
    stored: int = 0
    changed: int = 0
    quiet: int = 0
    refused: Counter[str] = field(default_factory=Counter)  # of the write, by reason

    @property
    def span(self) -> Interval:
        """Return from the first bucket to the last one."""
        first, last = self.file.first, self.file.last
        return (first.start, last.start + self.resolution * SECOND_US) if first and last else (0, 0)


def compare_candles(market: Market, file: CheckedFile[CandleRow], resolution: int) -> CandleImport:
    """Compare a file with what is stored; raise BadFile if a candle of it is not over yet."""
    found = CandleImport(market, file, resolution)
    if moment(found.span[1]) > provider_now(market.provider):
        raise BadFile(file.name, "its last candle is not over yet")
    for place in range(len(file.batches)):
        _compare(found, file.batch(place))
    return found


def store_candles(found: CandleImport, progress: Progress) -> None:
    """Store the file, a batch in each transaction: what a kill leaves is stored by the next try."""
    for place in range(len(found.file.batches)):
        with transaction.atomic():
            result = store_history(list(_records(found, found.file.batch(place))))
        with suppress(market_cache.CacheUnavailable):  # its version is confirmed by the consumers, too
            market_cache.write_changed(result.changes)
        found.refused.update(refusal.detail for _, refusal in result.refused)
        progress(place + 1, len(found.file.batches))


def proven_candles(found: CandleImport) -> list[Interval]:
    """Return the parts of the file's time that the provider's answers prove."""
    start, stop = found.span
    spans = Coverage.objects.filter(
        market=found.market, source=Coverage.Source.PROVIDER, resolution=found.resolution, stop__gt=moment(start)
    )
    edges = spans.filter(start__lt=moment(stop)).values_list("start", "stop")
    return clip(union((micros_of(low), micros_of(high)) for low, high in edges), start, stop)


def _compare(found: CandleImport, rows: Sequence[CandleRow]) -> None:
    stored = _stored(found, moment(rows[0].start), moment(rows[-1].start))
    for row in rows:
        if row.is_quiet:
            found.quiet += 1
        elif row.start not in stored:
            found.new += 1
        elif stored[row.start] == row[1:]:
            found.stored += 1
        else:
            found.changed += 1


def _stored(found: CandleImport, first: datetime, last: datetime) -> dict[int, tuple[Decimal | None, ...]]:
    """Return the numbers of the stored candles by their times, both ends included."""
    candles = ProviderCandle.objects.filter(market=found.market, resolution=found.resolution)
    columns = ("open_time", "open", "high", "low", "close", "volume", "quote_volume")
    rows = candles.filter(open_time__gte=first, open_time__lte=last).values_list(*columns)
    return {micros_of(at): tuple(numbers) for at, *numbers in rows}


def _records(found: CandleImport, rows: Sequence[CandleRow]) -> Iterator[HistoryRecord]:
    """Yield each unbroken run of candles, followed by the span that it proves."""
    length = found.resolution * SECOND_US
    # Within a run, a bucket's time minus its place is constant; where a bucket is missing, it changes.
    for _, run in groupby(enumerate(rows), lambda pair: pair[1].start - pair[0] * length):
        part = [row for _, row in run]
        traded = [row for row in part if not row.is_quiet]
        yield from (_candle(found, row) for row in traded)
        yield ProviderSpan(
            market=found.market.symbol,
            request=NO_REQUEST,
            resolution=found.resolution,
            start=part[0].start,
            stop=part[-1].start + length,
            page=1,
            pages=1,
            candles=len(traded),
        )


def _candle(found: CandleImport, row: CandleRow) -> CandleRecord:
    return CandleRecord(
        market=found.market.symbol,
        request=NO_REQUEST,
        resolution=found.resolution,
        open_time=row.start,
        open=row.open,
        high=row.high,
        low=row.low,
        close=row.close,
        volume=row.volume,
        quote_volume=row.quote_volume,
    )
