"""What a feed's records prove. Pure functions over one (feed, market) at a time.

Every record carries `n`, its number within (feed, market). While the numbers are consecutive, watermarks extend the
open span. A jump means that records were lost on the way, so the span ends at the last time it was proven to.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from datastore.wording import counted
from streaming.ends import EndCode
from streaming.records import FeedClosed, FeedOpened, LiveRecord, Micros, Trade, Watermark

SUBSCRIBED_AGAIN = "subscribed again"


@dataclass(frozen=True, slots=True)
class FeedSequence:
    """How far a feed has been applied in one market; no span is open while start is None. Times in microseconds."""

    last_n: int = 0
    unbroken: bool = True  # every number from 1 to last_n was seen
    start: Micros | None = None
    stop: Micros | None = None  # None: nothing of the open span is proven yet
    bridge: Micros | None = None  # a replay reaches back to here, once the open span is proven at all
    reason: str | None = None  # how the previous span ended


@dataclass(frozen=True, slots=True)
class RefusedTrade:
    """A numbered trade that cannot be stored; ts is given only if its age is the reason.

    certain: given if the trade contradicts one that is stored, so that nothing after this time is certain any more.
    """

    n: int
    reason: str
    code: str = EndCode.REFUSED
    ts: Micros | None = None
    certain: Micros | None = None


@dataclass(frozen=True, slots=True)
class FeedSpan:
    """A proven span [start, stop); reason and its code say how it ended, None that it goes on."""

    start: Micros
    stop: Micros
    reason: str | None = None
    code: str | None = None


class TakenBack(NamedTuple):
    """The feed's claims after `certain` no longer hold, and why."""

    certain: Micros
    reason: str
    code: str


@dataclass(frozen=True, slots=True)
class Applied:
    """The new position, every span that changed on the way, and the openings whose replay may prove a bridge.

    What earlier batches stored of the feed is taken back from `taken_back` on, before the spans are written.
    """

    position: FeedSequence
    spans: tuple[FeedSpan, ...] = ()
    openings: tuple[FeedOpened, ...] = ()
    taken_back: TakenBack | None = None


@dataclass(slots=True)
class _Walk:
    at: FeedSequence
    stop: Micros | None  # of the open span; `at` takes it over when the span or the walk ends
    spans: dict[Micros, FeedSpan] = field(default_factory=dict)
    openings: list[FeedOpened] = field(default_factory=list)
    taken_back: TakenBack | None = None

    def end(self, reason: str, code: str) -> None:
        """End the open span where it was proven to; a span that was never proven leaves only the reason."""
        if self.at.start is not None and self.stop is not None:
            self.spans[self.at.start] = FeedSpan(self.at.start, self.stop, reason, code)
        self.at = replace(self.at, start=None, stop=None, bridge=None, reason=reason)
        self.stop = None

    def begin(self, start: Micros) -> None:
        """Open a span, ending the one that is open."""
        if self.at.start is not None:
            self.end(SUBSCRIBED_AGAIN, EndCode.RESUBSCRIBED)
        self.at = replace(self.at, start=start)

    def prove(self, until: Micros) -> None:
        """Extend the open span; until may still be before a start that was set ahead of time."""
        start, stop = self.at.start, self.stop
        if start is not None and until > (start if stop is None else stop):
            self.stop = until

    def take_back(self, certain: Micros, reason: str, code: str) -> None:
        """Shorten what was claimed after `certain`, in this walk and before it."""
        if self.taken_back is None or certain < self.taken_back.certain:
            self.taken_back = TakenBack(certain, reason, code)
        kept = [span for span in self.spans.values() if span.start < certain]
        self.spans = {span.start: replace(span, stop=min(span.stop, certain)) for span in kept}
        if self.stop is not None:
            self.stop = min(self.stop, certain) if certain > (self.at.start or 0) else None

    def skip_to(self, n: int, last_n: int) -> None:
        """End the span because the records between last_n and n were lost."""
        lost = n - last_n - 1
        self.at = replace(self.at, last_n=last_n)
        self.end(f"stream lost {counted(lost, 'record')}", EndCode.STREAM)
        self.at = replace(self.at, unbroken=False)

    def take(self, record: LiveRecord | RefusedTrade) -> None:
        """Apply one record that is not a valid trade."""
        if isinstance(record, FeedOpened):
            self.begin(record.start)
            if self.at.unbroken:
                self.openings.append(record)

        elif isinstance(record, Watermark):
            if self.at.start is not None and record.start <= self.at.start:
                self.prove(record.until)
            else:
                # After an end this proves nothing, it only says from when on later ones will: a lost record may be as
                # young as the newest time seen by then.
                self.begin(max(record.start, record.until, record.seen or 0))

        elif isinstance(record, FeedClosed):
            if record.stop is not None:
                self.prove(record.stop)
            if record.certain is not None:
                self.take_back(record.certain, record.reason, record.code)
            self.end(record.reason, record.code)

        elif isinstance(record, RefusedTrade):
            # A trade that is only too old ends the span if the span would come to cover its time; what the span covers
            # already was whole before.
            unproven_from = self.at.start if self.stop is None else self.stop
            if record.ts is not None and (unproven_from is None or record.ts < unproven_from):
                return
            if record.certain is not None:
                self.take_back(record.certain, record.reason, record.code)
            self.end(record.reason, record.code)
            # As good as lost: a replay without it bridges nothing.
            self.at = replace(self.at, unbroken=False)

    def save_span(self) -> None:
        """Write the proven end of the open span, if it moved, to the position and the spans."""
        start, stop = self.at.start, self.stop
        if start is not None and stop is not None and stop != self.at.stop:
            self.at = replace(self.at, stop=stop)
            self.spans[start] = FeedSpan(start, stop)


def apply(position: FeedSequence, records: Iterable[LiveRecord | RefusedTrade]) -> Applied:
    """Apply one feed's records of one market, in the order of the stream; numbers already seen are skipped."""
    walk = _Walk(position, position.stop)
    last_n = position.last_n
    for record in records:
        n = record.n
        if n <= last_n:
            continue
        if n != last_n + 1:
            walk.skip_to(n, last_n)
        last_n = n
        if type(record) is not Trade:
            walk.take(record)

    walk.save_span()
    position = replace(walk.at, last_n=last_n)
    return Applied(position, tuple(walk.spans.values()), tuple(walk.openings), walk.taken_back)
