"""Paging backwards through the provider's candles, and what an answer proves.

Pure; times are microseconds, spans [start, stop). Rules: a bucket is proven by a final row of its own and by nothing
else, so a row that is missing, torn or said twice in two ways leaves a hole; a row is final once its end lies further
back than the provider's cache may be old; volume 0 proves that nothing was traded.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby

from datastore.ingest.trade_columns import LOWER_BOUND, UPPER_BOUND
from datastore.reference.provider import CACHE_AGE
from datastore.timeframes.intervals import SECOND_US
from ingestion.providers.cryptocompare.rest import Page, Row
from streaming.history_records import HistoryRecord, ProviderCandle, ProviderSpan

PAGE = 2000  # buckets; one row more is asked for, since the provider may round the end of a page


@dataclass(frozen=True, slots=True)
class Question:
    """One page to ask for: the buckets of [start, stop), whole ones."""

    resolution: int  # seconds
    start: int
    stop: int

    @property
    def last(self) -> int:
        """Return the start of the newest bucket, in seconds."""
        return self.stop // SECOND_US - self.resolution

    @property
    def before(self) -> int:
        """Return the provider's `limit`: it brings one row more, so the bucket before the page comes too."""
        return (self.stop - self.start) // (self.resolution * SECOND_US)


@dataclass(frozen=True, slots=True)
class Asker:
    """Whose answer it is: what every record of a page carries."""

    market: str
    request: int
    page: int
    pages: int


def whole(start: int, stop: int, resolution: int) -> tuple[int, int]:
    """Return the span widened to whole buckets."""
    step = resolution * SECOND_US
    return start // step * step, -(-stop // step) * step


def next_question(start: int, reached: int, resolution: int) -> Question | None:
    """Return the page below `reached`, None where that is the start."""
    if reached <= start:
        return None
    return Question(resolution, max(start, reached - PAGE * resolution * SECOND_US), reached)


def pages_of(start: int, stop: int, resolution: int) -> int:
    """Return how many pages a span takes."""
    return -(-max(0, stop - start) // (PAGE * resolution * SECOND_US))


def final_until(at: int, resolution: int) -> int:
    """Return the end of the newest bucket that is final in an answer of this provider time."""
    step = resolution * SECOND_US
    return (at - round(CACHE_AGE[resolution].total_seconds()) * SECOND_US) // step * step


def records_of(page: Page, asked: Question, asker: Asker) -> list[HistoryRecord]:
    """Return the page's candles, oldest first, each unbroken run of proven buckets followed by its span."""
    proven = proven_rows(page, asked)
    found: list[HistoryRecord] = []
    for times in _runs(sorted(proven), asked.resolution):
        run = [proven[time] for time in times]
        candles = [_candle(row, asked, asker) for row in run if row.volume]
        found += [*candles, _span(run, len(candles), asked, asker)]
    return found


def proven_rows(page: Page, asked: Question) -> dict[int, Row]:
    """Return the rows that prove a bucket of the question, by their time in seconds."""
    stop = min(asked.stop, final_until(page.at, asked.resolution))
    said: defaultdict[int, set[Row]] = defaultdict(set)
    for row in page.rows:
        if asked.start <= row.time * SECOND_US < stop and row.time % asked.resolution == 0:
            said[row.time].add(row)
    return {time: row for time, (row, *others) in said.items() if not others and is_sound(row)}


def is_of(page: Page, asked: Question) -> bool:
    """Tell whether any row answers the question at all; times of a broken cache are decades away."""
    return any(asked.start <= row.time * SECOND_US < asked.stop for row in page.rows)


def is_sound(row: Row) -> bool:
    """Tell whether a row can be true; the open may lie outside of low and high, being the close before."""
    prices = (row.open, row.high, row.low, row.close)
    if row.volume == 0:
        return all(price == 0 or _is_plausible(price) for price in prices)
    sizes = _is_plausible(row.volume) and (row.quote_volume == 0 or _is_plausible(row.quote_volume))
    return sizes and all(map(_is_plausible, prices)) and row.low <= row.close <= row.high


def _is_plausible(value: Decimal) -> bool:
    return value.is_finite() and LOWER_BOUND < value < UPPER_BOUND


def _runs(times: Iterable[int], resolution: int) -> Iterator[list[int]]:
    """Split ascending times where a bucket is missing."""
    numbered = enumerate(times)
    for _, run in groupby(numbered, lambda pair: pair[1] - pair[0] * resolution):
        yield [time for _, time in run]


def _candle(row: Row, asked: Question, asker: Asker) -> ProviderCandle:
    return ProviderCandle(
        market=asker.market,
        request=asker.request,
        resolution=asked.resolution,
        open_time=row.time * SECOND_US,
        open=row.open,
        high=row.high,
        low=row.low,
        close=row.close,
        volume=row.volume,
        quote_volume=row.quote_volume,
    )


def _span(rows: list[Row], candles: int, asked: Question, asker: Asker) -> ProviderSpan:
    return ProviderSpan(
        market=asker.market,
        request=asker.request,
        resolution=asked.resolution,
        start=rows[0].time * SECOND_US,
        stop=(rows[-1].time + asked.resolution) * SECOND_US,
        page=asker.page,
        pages=asker.pages,
        zeros=tuple(row.time * SECOND_US for row in rows if not row.volume and not row.close),
        candles=candles,
    )
