"""The story of one gap, from rows: when the feed was lost and why, what was tried and when, and what comes next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from actor_runtime.models import TransitionLog
from datastore.models import Coverage, FetchRequest, GapRepair
from datastore.reference.provider_registry import live_role
from datastore.reference.traits import Proof
from ingestion.models import Producer

MAX_OF_A_KIND = 40  # events
AROUND = timedelta(minutes=2)  # before and after the gap, in which the Producer's transitions belong to it
DONE, FAILED = FetchRequest.State.DONE, FetchRequest.State.FAILED


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened; bad: it is a reason for the gap, or a try that failed."""

    at: datetime
    words: str
    detail: str = ""
    by: str = ""
    bad: bool = False


def story_of(gap: GapRepair) -> list[Event]:
    """Return what happened to a gap in the order of time, in a fixed number of statements."""
    return sorted([*_feed(gap), *_fetches(gap), *_transitions(gap)], key=lambda event: event.at)


def _feed(gap: GapRepair) -> Iterator[Event]:
    """Yield where proven spans of the feed end and begin around the gap."""
    live = Coverage.objects.filter(market=gap.market, source=Coverage.Source.LIVE, resolution=0)
    live = live.exclude(proof=Proof.SEQUENCE)  # a part of a feed's span that its numbers prove: no end of the feed
    near = live.filter(stop__gte=gap.start - AROUND, start__lte=gap.stop + AROUND).order_by("-start")
    for span in near[:MAX_OF_A_KIND]:
        topic = span.feed.partition("/")[0]
        if gap.start - AROUND <= span.stop <= gap.stop:
            why = span.reason or "It said nothing more, and its end was not recorded."
            yield Event(span.stop, "The feed is proven up to here", why, topic, bad=True)
        if gap.start <= span.start <= gap.stop + AROUND:
            yield Event(span.start, "The feed is proven again from here", by=topic)


def _fetches(gap: GapRepair) -> Iterator[Event]:
    touched = FetchRequest.objects.filter(market=gap.market, resolution__in=(gap.resolution, FetchRequest.TRADES))
    for one in touched.filter(start__lt=gap.stop, stop__gt=gap.start).order_by("-id")[:MAX_OF_A_KIND]:
        kind = "trades" if one.resolution == FetchRequest.TRADES else "candles"
        purpose = FetchRequest.Purpose(one.purpose).label.lower()
        yield Event(one.created_at, f"Its {kind} were asked for", f"request {one.pk}, for: {purpose}")
        if one.finished_at and one.state in (DONE, FAILED):
            ended = "ended and is stored" if one.state == DONE else "failed"
            detail = one.error or f"pages: {one.pages_done}"
            yield Event(one.finished_at, f"Request {one.pk} {ended}", detail, one.worker, bad=one.state == FAILED)


def _transitions(gap: GapRepair) -> Iterator[Event]:
    """Yield failures, resets and takeovers of the live Producers at that time."""
    names = Producer.objects.filter(role=live_role(gap.market.provider)).values_list("name", flat=True)
    log = TransitionLog.objects.filter(kind="producer", name__in=list(names), minute=None)
    for row in log.filter(first_at__gte=gap.start - AROUND, first_at__lte=gap.stop + AROUND)[:MAX_OF_A_KIND]:
        words = f"{row.name}: {row.event.replace('_', ' ').lower()}"
        yield Event(row.first_at, words, row.reason, row.by, bad=row.target == "error")
