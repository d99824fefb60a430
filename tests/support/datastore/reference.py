"""The rules of the series once more, slow and obvious: one bucket at a time, from the raw facts. Shares no code with
the product. Times are microseconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache

from streaming.records import FeedClosed, FeedOpened, LiveRecord, Trade, Watermark

SECOND = 1_000_000
LENGTH = {"minute": 60 * SECOND, "hour": 3600 * SECOND, "day": 86400 * SECOND}
SECONDS = {"minute": 60, "hour": 3600, "day": 86400}
CHILD = {"hour": "minute", "day": "hour"}
# timeframe -> (what it is made of, how many; 0: as many as the week or month has days)
MADE_OF = {
    "1m": ("minute", 1),
    "3m": ("minute", 3),
    "5m": ("minute", 5),
    "15m": ("minute", 15),
    "30m": ("minute", 30),
    "1h": ("hour", 1),
    "2h": ("hour", 2),
    "4h": ("hour", 4),
    "6h": ("hour", 6),
    "12h": ("hour", 12),
    "1d": ("day", 1),
    "1w": ("day", 7),
    "1M": ("day", 0),
}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PROVEN = ("live", "provider", "merged")

Span = tuple[int, int]
# open, high, low, close, volume, quote volume, trades (None: the provider does not count them)
Numbers = tuple[Decimal, Decimal, Decimal, Decimal, Decimal, Decimal, int | None]


def text(number: Decimal) -> str:
    """Return a decimal without exponent and without trailing zeros."""
    plain = format(number, "f")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def holds(spans: Sequence[Span], start: int, stop: int) -> bool:
    """Return whether every microsecond of [start, stop) lies in one of the spans."""
    at = start
    while at < stop:
        reach = [high for low, high in spans if low <= at < high]
        if not reach:
            return False
        at = max(reach)
    return True


def served(row: Numbers) -> Numbers:
    """Return a provider's candle as it is served: close in the range, however wide that becomes, then open."""
    opened, high, low, close, volume, quote, trades = row
    high, low = max(high, close), min(low, close)
    return min(max(opened, low), high), high, low, close, volume, quote, trades


def of_trades(trades: Iterable[Trade]) -> Numbers | None:
    """Return the candle of these trades."""
    ordered = sorted(trades, key=lambda one: (one.ts, one.seq is None, one.seq or 0, one.id.encode()))
    if not ordered:
        return None
    prices = [one.price for one in ordered]
    volume = sum((one.amount for one in ordered), Decimal(0))
    quote = sum((one.price * one.amount for one in ordered), Decimal(0))
    return prices[0], max(prices), min(prices), prices[-1], volume, quote, len(ordered)


def of_candles(parts: Iterable[Numbers | None]) -> Numbers | None:
    """Return the candle of finer ones, in the order of time."""
    rows = [part for part in parts if part is not None]
    if len(rows) < 2:
        return rows[0] if rows else None
    counts = [row[6] for row in rows]
    return (
        rows[0][0],
        max(row[1] for row in rows),
        min(row[2] for row in rows),
        rows[-1][3],
        sum((row[4] for row in rows), Decimal(0)),
        sum((row[5] for row in rows), Decimal(0)),
        None if None in counts else sum(count for count in counts if count is not None),
    )


@dataclass(eq=False)
class ReferenceMarket:
    """Everything that is known of one market at one instant."""

    now: int
    watermark: int | None
    known: bool
    trades: list[Trade]
    live: list[Span]
    provider: dict[str, list[Span]] = field(default_factory=dict)
    provider_candles: dict[tuple[str, int], Numbers] = field(default_factory=dict)
    raw: bool = False  # the provider's own prices
    cache_age: dict[str, int] = field(
        default_factory=lambda: {"minute": 60 * SECOND, "hour": 660 * SECOND, "day": 660 * SECOND}
    )

    def __post_init__(self) -> None:
        # Remembered per reference: a year of minutes would be asked for again and again otherwise.
        self.state = cache(self._state)
        self.source = cache(self._source)
        self.numbers = cache(self._numbers)
        # And most of them have no trade.
        self.traded_minutes = {one.ts // LENGTH["minute"] for one in self.trades}

    def children(self, kind: str, start: int) -> list[int]:
        """Return the starts of the finer buckets in a bucket."""
        return list(range(start, start + LENGTH[kind], LENGTH[CHILD[kind]]))

    def _state(self, kind: str, start: int) -> str:
        stop = start + LENGTH[kind]
        if self.watermark is not None and stop <= self.watermark:
            return self._state_before(kind, start, stop)
        if start > self.now:
            return "future"
        if kind == "minute":
            return "pending" if stop <= self.now else "open"
        return combined([self.state(CHILD[kind], child) for child in self.children(kind, start)])

    def _state_before(self, kind: str, start: int, stop: int) -> str:
        if holds(self.live, start, stop):
            return "live"
        if holds(self.provider.get(kind, []), start, stop):
            return "provider"
        if kind != "minute" and all(self.state(CHILD[kind], child) in PROVEN for child in self.children(kind, start)):
            return "merged"
        return "pending" if not self.known or stop + self.cache_age[kind] > self.now else "hole"

    def _source(self, kind: str, start: int) -> str:
        state, stop = self.state(kind, start), start + LENGTH[kind]
        if state in PROVEN:
            return state
        if state == "hole":
            return "partial"
        if kind != "minute":
            begun = [child for child in self.children(kind, start) if self.state(CHILD[kind], child) != "future"]
            return combined_source([self.source(CHILD[kind], child) for child in begun])
        return self._minute_source(start, stop)

    def _minute_source(self, start: int, stop: int) -> str:
        if self.watermark is not None and stop <= self.watermark:
            return "partial"
        if (
            stop <= self.now
            and not holds(self.live, start, stop)
            and holds(self.provider.get("minute", []), start, stop)
        ):
            return "provider"
        if self.watermark is None or self.watermark <= start:
            return "live"
        return "live" if holds(self.live, start, self.watermark) else "partial"

    def _numbers(self, kind: str, start: int) -> Numbers | None:
        state, stop = self.state(kind, start), start + LENGTH[kind]
        if state == "future":
            return None
        if state == "provider" or (kind == "minute" and self.source(kind, start) == "provider"):
            row = self.provider_candles.get((kind, start))
            return row if self.raw or row is None else served(row)
        if kind == "minute" and start // LENGTH["minute"] not in self.traded_minutes:
            return None
        if state == "live" or kind == "minute":
            return of_trades(one for one in self.trades if start <= one.ts < stop)
        return of_candles(self.numbers(CHILD[kind], child) for child in self.children(kind, start))

    def closed(self, kind: str, start: int) -> bool:
        """Return whether a base bucket is closed."""
        over = self.watermark is not None and start + LENGTH[kind] <= self.watermark
        return over and self.state(kind, start) != "pending"

    def bucket(self, timeframe: str, start: int) -> tuple[str, str, bool, Numbers | None]:
        """Return (state as shown, source of its row, closed, numbers) of a bucket of any timeframe."""
        kind, _ = MADE_OF[timeframe]
        parts = range(start, next_bucket(timeframe, start), LENGTH[kind])
        numbers = of_candles(self.numbers(kind, part) for part in parts)
        states = [self.state(kind, part) for part in parts]
        begun = [part for part, state in zip(parts, states, strict=True) if state != "future"]
        state = combined(states)
        source = combined_source([self.source(kind, part) for part in begun]) if begun else "live"
        if state == "hole":
            state = "partial" if numbers else "gap"
        closed = len(begun) == len(parts) and all(self.closed(kind, part) for part in parts)
        return "pending" if state == "future" else state, source, closed, numbers


def combined(states: list[str]) -> str:
    """Return the state of a bucket made of buckets in these states; `hole` where something is missing."""
    begun = [state for state in states if state != "future"]
    if not begun:
        return "future"
    for strongest in ("hole", "pending", "open", "merged"):
        if strongest in begun:
            return strongest
    return begun[0] if len(set(begun)) == 1 else "merged"


def combined_source(sources: list[str]) -> str:
    """Return what a row made of rows of these sources is called."""
    if "partial" in sources:
        return "partial"
    return sources[0] if len(set(sources)) == 1 else "merged"


def floor_bucket(timeframe: str, at: int) -> int:
    """Return the start of the bucket that holds a time."""
    kind, count = MADE_OF[timeframe]
    time = EPOCH + timedelta(microseconds=at)
    if timeframe == "1M":
        time = datetime(time.year, time.month, 1, tzinfo=UTC)
    elif timeframe == "1w":
        time = datetime(time.year, time.month, time.day, tzinfo=UTC) - timedelta(days=time.weekday())
    else:
        return at - at % (LENGTH[kind] * count)
    return (time - EPOCH) // timedelta(microseconds=1)


def next_bucket(timeframe: str, start: int) -> int:
    """Return the start of the next bucket."""
    kind, count = MADE_OF[timeframe]
    if count:
        return start + LENGTH[kind] * count
    return floor_bucket(timeframe, start + 32 * LENGTH["day"])


def proven_by(records: list[LiveRecord]) -> list[Span]:
    """Return what one feed's records of one market prove, repeats included, looking back from each claim."""
    delivered: dict[int, LiveRecord] = {}
    for record in records:
        if record.n > max(delivered, default=0):
            delivered[record.n] = record
    spans = []
    for n, record in delivered.items():
        stop = (
            record.until if isinstance(record, Watermark) else record.stop if isinstance(record, FeedClosed) else None
        )
        start = _start_before(delivered, n)
        if stop is not None and start is not None and start < stop:
            spans.append((start, stop))
    return spans


def _start_before(delivered: dict[int, LiveRecord], n: int) -> int | None:
    """Return from where on a claim at n holds: back to the opening, else to the first watermark after what broke it."""
    first: Watermark | None = None
    at = n - 1
    while at in delivered:
        record = delivered[at]
        if isinstance(record, FeedOpened):
            return record.start
        if isinstance(record, FeedClosed):
            break
        if isinstance(record, Watermark):
            first = record
        at -= 1
    return None if first is None else max(first.until, first.start, first.seen or 0)
