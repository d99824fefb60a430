"""Paging backwards through the provider's candles, and what an answer proves.

Pure; times are microseconds, spans [start, stop); `candles` says what is peculiar to the provider's candles. Rules: a
bucket is proven by a final row of its own and by nothing else, so a row that is missing, torn, or sent twice with
different values leaves a gap; a row is final once its end is older than the provider's cache may be; only a row without
volume, quote volume and movement says that nothing was traded, and the Datastore believes it unless trades of that
bucket are known.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby

from datastore.reference.traits import CandleTraits, OpenPrice
from datastore.timeframes.intervals import SECOND_US
from ingestion.providers.answers import CandlePage, CandleRow, CandlesAsked
from streaming.bounds import MAX_STORED, MIN_STORED
from streaming.history_records import HistoryRecord, ProviderCandle, ProviderSpan


@dataclass(frozen=True, slots=True)
class PageRequest:
    """One page to ask for: the buckets of [start, stop), whole ones."""

    resolution: int  # seconds
    start: int
    stop: int

    def of(self, sub: str) -> CandlesAsked:
        """Return what to ask the provider for, of the market with this channel."""
        return CandlesAsked(sub, self.resolution, self.start, self.stop)


@dataclass(frozen=True, slots=True)
class PageOrigin:
    """What every record of a page carries: its market, its FetchRequest's id, and which page it is of how many."""

    market: str
    request: int
    page: int
    pages: int


def whole_buckets(start: int, stop: int, resolution: int) -> tuple[int, int]:
    """Return the span widened to whole buckets."""
    step = resolution * SECOND_US
    return start // step * step, -(-stop // step) * step


def next_page(candles: CandleTraits, start: int, reached: int, resolution: int) -> PageRequest | None:
    """Return the page below `reached`; None if that is the start."""
    if reached <= start:
        return None
    return PageRequest(resolution, max(start, reached - candles.rows_per_page * resolution * SECOND_US), reached)


def pages_of(candles: CandleTraits, start: int, stop: int, resolution: int) -> int:
    """Return how many pages a span takes."""
    return -(-max(0, stop - start) // (candles.rows_per_page * resolution * SECOND_US))


def oldest_bucket(newest_rows: int, now: int, resolution: int) -> int:
    """Return the start of the oldest bucket that a provider with only its newest rows has at its time `now`."""
    step = resolution * SECOND_US
    return (now // step - newest_rows + 1) * step  # the running bucket is one of them


def final_stop(candles: CandleTraits, at: int, resolution: int) -> int:
    """Return the end of the newest bucket that is final in an answer of this provider time."""
    step, age = resolution * SECOND_US, candles.resolutions[resolution].cache_age
    return (at - round(age.total_seconds()) * SECOND_US) // step * step


def records_of(candles: CandleTraits, page: CandlePage, asked: PageRequest, origin: PageOrigin) -> list[HistoryRecord]:
    """Return the page's candles, oldest first, each unbroken run of proven buckets followed by its span."""
    proven = proven_rows(candles, page, asked)
    found: list[HistoryRecord] = []
    # Within a run, a bucket's time minus its place is constant; where a bucket is missing, it changes.
    numbered = enumerate(sorted(proven))
    for _, run in groupby(numbered, lambda pair: pair[1] - pair[0] * asked.resolution):
        rows = [proven[time] for _, time in run]
        traded = [_candle(row, asked, origin) for row in rows if not is_quiet(row)]
        found += [
            *traded,
            ProviderSpan(
                market=origin.market,
                request=origin.request,
                resolution=asked.resolution,
                start=rows[0].time * SECOND_US,
                stop=(rows[-1].time + asked.resolution) * SECOND_US,
                page=origin.page,
                pages=origin.pages,
                zeros=tuple(row.time * SECOND_US for row in rows if is_quiet(row) and not row.close),
                candles=len(traded),
            ),
        ]
    return found


def proven_rows(candles: CandleTraits, page: CandlePage, asked: PageRequest) -> dict[int, CandleRow]:
    """Return the rows that prove a bucket of the page asked for, by their time in seconds."""
    stop = min(asked.stop, final_stop(candles, page.at, asked.resolution))
    sent: defaultdict[int, set[CandleRow]] = defaultdict(set)
    for row in page.rows:
        if asked.start <= row.time * SECOND_US < stop and row.time % asked.resolution == 0:
            sent[row.time].add(row)
    return {time: row for time, (row, *others) in sent.items() if not others and is_sound(candles, row)}


def answers(page: CandlePage, asked: PageRequest) -> bool:
    """Return whether any row is of the page asked for; times of a broken cache are decades away."""
    return any(asked.start <= row.time * SECOND_US < asked.stop for row in page.rows)


def is_sound(candles: CandleTraits, row: CandleRow) -> bool:
    """Return whether a row can be true and whole; an open that is the close before may lie outside low and high."""
    if is_quiet(row):
        return row.close == 0 or _is_plausible(row.close)
    given = (row.volume, row.quote_volume) if candles.quote_volume else (row.volume,)
    sizes = all(size is not None and (size == 0 or _is_plausible(size)) for size in given)
    prices = all(map(_is_plausible, (row.open, row.high, row.low, row.close)))
    opened = candles.opens_with is OpenPrice.PRIOR_CLOSE or row.low <= row.open <= row.high
    return sizes and prices and opened and row.low <= row.close <= row.high


def is_quiet(row: CandleRow) -> bool:
    """Return whether a row says that nothing was traded: no volume, as far as it is given, and no price moved."""
    return row.volume == 0 and not row.quote_volume and row.open == row.high == row.low == row.close


def _is_plausible(value: Decimal) -> bool:
    return value.is_finite() and MIN_STORED < value < MAX_STORED


def _candle(row: CandleRow, asked: PageRequest, origin: PageOrigin) -> ProviderCandle:
    return ProviderCandle(
        market=origin.market,
        request=origin.request,
        resolution=asked.resolution,
        open_time=row.time * SECOND_US,
        open=row.open,
        high=row.high,
        low=row.low,
        close=row.close,
        volume=row.volume,
        quote_volume=row.quote_volume,
    )
