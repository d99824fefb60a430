"""How much of a range is there, and what of it will never come. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from datastore.coverage.certificate import PROVEN
from datastore.coverage.reasons import ReasonCode
from datastore.coverage.segments import Segment
from datastore.timeframes.timeframe import Timeframe

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Amount:
    """Some buckets of a range: how many, and how much time they take."""

    buckets: int = 0
    time: timedelta = timedelta()

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.buckets + other.buckets, self.time + other.time)

    @property
    def days(self) -> float:
        """Return the time in days."""
        return round(self.time / DAY, 2)

    def percent_of(self, whole: Amount) -> float:
        """Return the share of the buckets, never 0 for some of them and never 100 for less than all."""
        if not self.buckets or self.buckets == whole.buckets:
            return 100.0 if self.buckets else 0.0
        return min(max(round(100 * self.buckets / whole.buckets, 2), 0.01), 99.99)


@dataclass(frozen=True, slots=True)
class MissingPart:
    """All that is missing for one reason, from the first such bucket to the last; final: it will never come."""

    reason: str
    code: str  # the kind of reason
    final: bool
    amount: Amount
    start: datetime
    stop: datetime


@dataclass(frozen=True, slots=True)
class Completeness:
    """What is known of the buckets of a range that have begun; pending: they are not known finally yet."""

    asked: Amount
    proven: Amount
    pending: Amount
    missing: tuple[MissingPart, ...]  # the largest part first


def completeness_of(segments: Iterable[Segment], frame: Timeframe) -> Completeness:
    """Return how much of a certificate's range is there."""
    asked = proven = pending = Amount()
    missing: dict[tuple[str, bool], MissingPart] = {}
    for segment in segments:
        if segment.code == ReasonCode.NOT_BEGUN:
            continue
        amount = Amount(frame.between(segment.start, segment.stop), segment.stop - segment.start)
        asked += amount
        if segment.state in PROVEN:
            proven += amount
        elif segment.incomplete or segment.code == ReasonCode.NO_TIME:
            final = bool(segment.repair and segment.repair["final"])
            told = segment.repair if segment.repair and final else {"reason": segment.reason, "code": segment.code}
            reason, code = str(told["reason"]), str(told["code"])
            known = missing.get((reason, final))
            start, so_far = (known.start, known.amount) if known else (segment.start, Amount())
            missing[reason, final] = MissingPart(reason, code, final, so_far + amount, start, segment.stop)
        else:
            pending += amount
    parts = sorted(missing.values(), key=lambda part: part.amount.buckets, reverse=True)
    return Completeness(asked, proven, pending, tuple(parts))


def described(found: Completeness) -> str:
    """Return the completeness as one line for people."""
    return "; ".join(_phrases(found))


def _phrases(found: Completeness) -> Iterator[str]:
    asked, proven = found.asked, found.proven
    if not asked.buckets:
        yield "nothing of it has begun yet"
        return
    share = f"{proven.percent_of(asked):.2f} %, {_length(proven.time)} of {_length(asked.time)}"
    yield f"{proven.buckets:,} of {asked.buckets:,} candles are there ({share})"
    if found.pending.buckets:
        yield f"{found.pending.buckets:,} not known finally yet"
    for part in found.missing:
        kind = "final, will not come" if part.final else "missing"
        amount = part.amount
        yield (
            f"{amount.buckets:,} {kind} ({amount.percent_of(asked):.2f} %, {_length(amount.time)}): "
            f"{part.reason.rstrip('.')}"
        )


def _length(time: timedelta) -> str:
    """Return a length of time in days, or in hours and minutes if it is less than a day."""
    if time >= DAY:
        return f"{round(time / DAY, 2):,g} d"
    hours, minutes = divmod(time // timedelta(minutes=1), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
