"""What a feed's records prove: pure, one (feed, market) at a time.

Every record carries `n`, its number within (feed, market). As long as the numbers run on, watermarks extend the open
span; a jump means that records were lost on the way, so the span ends where it was proven last.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from streaming.records import FeedClosed, FeedOpened, LiveRecord, Micros, Trade, Watermark

SUBSCRIBED_AGAIN = "subscribed again"


@dataclass(frozen=True, slots=True)
class FeedSequence:
    """Where a feed stands in a market; no span is open while start is None."""

    last_n: int = 0
    unbroken: bool = True  # every number from 1 to last_n was seen
    start: Micros | None = None
    stop: Micros | None = None  # None: nothing of the open span is proven yet
    bridge: Micros | None = None  # a replay reaches back to here, once the open span is proven at all
    reason: str | None = None  # how the span before ended


@dataclass(frozen=True, slots=True)
class RefusedTrade:
    """A trade that carries a number but cannot be stored; ts where only its age is against it."""

    n: int
    reason: str
    ts: Micros | None = None


@dataclass(frozen=True, slots=True)
class FeedSpan:
    """A proven span [start, stop) as it now stands; reason says how it ended, None that it goes on."""

    start: Micros
    stop: Micros
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """The new position, every span touched on the way, and the openings whose replay may prove a bridge."""

    position: FeedSequence
    spans: tuple[FeedSpan, ...] = ()
    openings: tuple[FeedOpened, ...] = ()


@dataclass(slots=True)
class _Walk:
    at: FeedSequence
    stop: Micros | None  # of the open span; the position takes it over at the span's end or the walk's
    spans: dict[Micros, FeedSpan] = field(default_factory=dict)
    openings: list[FeedOpened] = field(default_factory=list)

    def keep(self) -> None:
        """Take what was proven over into the position and the span."""
        start, stop = self.at.start, self.stop
        if start is not None and stop is not None and stop != self.at.stop:
            self.at = replace(self.at, stop=stop)
            self.spans[start] = FeedSpan(start, stop)

    def end(self, reason: str) -> None:
        """End the open span where it was proven last; a span never proven leaves only the reason."""
        if self.at.start is not None and self.stop is not None:
            self.spans[self.at.start] = FeedSpan(self.at.start, self.stop, reason)
        self.at = replace(self.at, start=None, stop=None, bridge=None, reason=reason)
        self.stop = None

    def begin(self, start: Micros) -> None:
        if self.at.start is not None:
            self.end(SUBSCRIBED_AGAIN)
        self.at = replace(self.at, start=start)

    def prove(self, until: Micros) -> None:
        """Extend the open span; until may still lie before a start that was set ahead of time."""
        start, stop = self.at.start, self.stop
        if start is not None and until > (start if stop is None else stop):
            self.stop = until

    def may_claim(self, ts: Micros) -> bool:
        """Tell whether the open span would come to cover this time; what it covers already was whole before."""
        return self.at.start is not None and ts >= (self.at.start if self.stop is None else self.stop)

    def lose(self, n: int) -> None:
        """Account for the records between the last number seen and n."""
        lost = n - self.at.last_n - 1
        self.end(f"stream lost {lost} record{'' if lost == 1 else 's'}")
        self.at = replace(self.at, unbroken=False)

    def take(self, record: LiveRecord | RefusedTrade) -> None:
        """Follow one record that is not a sound trade."""
        if isinstance(record, FeedOpened):
            self.begin(record.start)
            if self.at.unbroken:
                self.openings.append(record)
        elif isinstance(record, Watermark):
            self.watermark(record)
        elif isinstance(record, FeedClosed):
            if record.stop is not None:
                self.prove(record.stop)
            self.end(record.reason)
        elif isinstance(record, RefusedTrade):
            if record.ts is not None and not self.may_claim(record.ts):
                return
            self.end(record.reason)
            # As good as lost: a replay that lacks it bridges nothing.
            self.at = replace(self.at, unbroken=False)

    def watermark(self, record: Watermark) -> None:
        if self.at.start is not None and record.start <= self.at.start:
            self.prove(record.until)
            return
        # After an end nothing is proven yet, only from where on it will be: what was lost may be as young as the
        # newest stamp seen by then.
        self.begin(max(record.start, record.until, record.seen or 0))


def apply(position: FeedSequence, records: Iterable[LiveRecord | RefusedTrade]) -> Applied:
    """Follow one feed's records of one market, in the order of the stream; numbers already seen are skipped."""
    walk = _Walk(position, position.stop)
    last_n = position.last_n
    for record in records:
        n = record.n
        if n <= last_n:
            continue
        if n != last_n + 1:
            walk.at = replace(walk.at, last_n=last_n)
            walk.lose(n)
        last_n = n
        if type(record) is not Trade:
            walk.take(record)
    walk.keep()
    return Applied(replace(walk.at, last_n=last_n), tuple(walk.spans.values()), tuple(walk.openings))
