"""What a feed's records prove. Pure functions over one (feed, market) at a time.

Every record carries `n`, its number within (feed, market). While the numbers are consecutive, watermarks extend the
open span. A jump means that records were lost on the way, so the span ends at the last time it was proven to. Of what a
span proves, the part for which the provider's own numbers have no hole is named as well (number_run.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from datastore.ingest.number_run import NumberRun
from datastore.timeframes.intervals import SECOND_US, Interval
from datastore.wording import counted
from streaming.ends import EndCode
from streaming.records import FeedClosed, FeedOpened, LiveRecord, Micros, Trade, Watermark

SUBSCRIBED_AGAIN = "subscribed again"
USUAL_LATENESS_US = 6 * SECOND_US  # the default GRACE, and a second, for times are often whole seconds


class FeedSequence(NamedTuple):
    """How far a feed has been applied in one market; no span is open while start is None. Times in microseconds."""

    last_n: int = 0
    unbroken: bool = True  # every number from 1 to last_n was seen
    start: Micros | None = None
    stop: Micros | None = None  # None: nothing of the open span is proven yet
    bridge: Micros | None = None  # a replay reaches back to here, once the open span is proven at all
    reason: str | None = None  # how the previous span ended
    numbers: list[int] | None = None  # a NumberRun as it is stored


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


class FeedSpan(NamedTuple):
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


class Applied(NamedTuple):
    """The new position, every span that changed on the way, and the openings whose replay may prove a bridge.

    What earlier batches stored of the feed is taken back from `taken_back` on, before the spans are written. numbered:
    what of the spans the provider's numbers prove.
    """

    position: FeedSequence
    spans: tuple[FeedSpan, ...] = ()
    openings: tuple[FeedOpened, ...] = ()
    taken_back: TakenBack | None = None
    numbered: tuple[Interval, ...] = ()


@dataclass(slots=True)
class _Walk:
    at: FeedSequence
    stop: Micros | None  # of the open span; `at` takes it over when the span or the walk ends
    numbers: NumberRun
    late: Micros
    spans: dict[Micros, FeedSpan] = field(default_factory=dict)
    openings: list[FeedOpened] = field(default_factory=list)
    taken_back: TakenBack | None = None
    numbered: dict[Micros, Micros] = field(default_factory=dict)

    def end(self, reason: str, code: str) -> None:
        """End the open span where it was proven to; a span that was never proven leaves only the reason."""
        self.end_numbers()
        if self.at.start is not None and self.stop is not None:
            self.spans[self.at.start] = FeedSpan(self.at.start, self.stop, reason, code)
        self.at = self.at._replace(start=None, stop=None, bridge=None, reason=reason)
        self.stop = None

    def begin(self, start: Micros) -> None:
        """Open a span, ending the one that is open."""
        if self.at.start is not None:
            self.end(SUBSCRIBED_AGAIN, EndCode.RESUBSCRIBED)
        if self.numbers.missing:
            self.end_numbers()  # nobody waits for them: the Producer looks at numbers from here on
        self.at = self.at._replace(start=start)

    def number(self, trade: Trade) -> None:
        """Take the number of a trade; one without a number shows that not all trades are numbered."""
        if trade.numbered:
            if not self.numbers.fits(trade, self.late):
                self.save_numbers()
                self.numbers.restart(trade, self.late)
        elif self.numbers.since is not None:
            self.end_numbers()

    def end_numbers(self) -> None:
        """Write down what the run of numbers proves, and end it."""
        self.save_numbers()
        self.numbers.end()

    def save_numbers(self) -> None:
        """Write down what of the open span the numbers prove."""
        since, start, stop = self.numbers.since, self.at.start, self.stop
        if since is not None and start is not None and stop is not None:
            low, high = max(since, start), min(self.numbers.proven, stop)
            if low < high:
                self.numbered[low] = high

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
        self.spans = {span.start: span._replace(stop=min(span.stop, certain)) for span in kept}
        if self.stop is not None:
            self.stop = min(self.stop, certain) if certain > (self.at.start or 0) else None
        self.end_numbers()
        self.numbered = {low: min(high, certain) for low, high in self.numbered.items() if low < certain}

    def skip_to(self, n: int, last_n: int) -> None:
        """End the span because the records between last_n and n were lost."""
        lost = n - last_n - 1
        self.at = self.at._replace(last_n=last_n)
        self.end(f"stream lost {counted(lost, 'record')}", EndCode.STREAM)
        self.at = self.at._replace(unbroken=False)

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
            self.end_numbers()  # this one is not stored
            # A trade that is only too old ends the span if the span would come to cover its time; what the span covers
            # already was whole before.
            unproven_from = self.at.start if self.stop is None else self.stop
            if record.ts is not None and (unproven_from is None or record.ts < unproven_from):
                return
            if record.certain is not None:
                self.take_back(record.certain, record.reason, record.code)
            self.end(record.reason, record.code)
            # As good as lost: a replay without it bridges nothing.
            self.at = self.at._replace(unbroken=False)

    def save_span(self) -> None:
        """Write the proven end of the open span, if it moved, to the position and the spans."""
        self.save_numbers()
        start, stop = self.at.start, self.stop
        if start is not None and stop is not None and stop != self.at.stop:
            self.at = self.at._replace(stop=stop)
            self.spans[start] = FeedSpan(start, stop)


def apply(
    position: FeedSequence,
    records: Iterable[LiveRecord | RefusedTrade],
    *,
    late: Micros = USUAL_LATENESS_US,
    doubt: TakenBack | None = None,
) -> Applied:
    """Apply one feed's records of one market, in the order of the stream; numbers already seen are skipped.

    late: how much later than its own time a trade may be discovered. doubt: from when on another feed's trade
    contradicts what is stored: nothing is claimed of that time.
    """
    walk = _Walk(position, position.stop, NumberRun.stored(position.numbers), late)
    last_n = position.last_n
    for record in records:
        n = record.n
        if n <= last_n:
            continue
        if n != last_n + 1:
            walk.skip_to(n, last_n)
        last_n = n
        if type(record) is Trade:
            walk.number(record)
        else:
            walk.take(record)

    if doubt is not None:
        walk.take_back(*doubt)
        walk.end(doubt.reason, doubt.code)
    walk.save_span()
    numbers = walk.numbers.as_row() if walk.numbers.newest >= 0 else None
    position = walk.at._replace(last_n=last_n, numbers=numbers)
    return Applied(
        position, tuple(walk.spans.values()), tuple(walk.openings), walk.taken_back, tuple(walk.numbered.items())
    )
