"""What is known of a market, and what is proven of a stretch of its time: the facts that a certificate is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.conf import settings

from datastore.certificate import Evidence
from datastore.intervals import union
from datastore.models import Market
from datastore.provider import CACHE_AGE
from datastore.queries import fetch_all
from datastore.segments import Ended, Repair
from streaming.records import Micros

FACTS = "select * from series_facts(%s, %s, %s, %s, %s, %s)"


@dataclass(frozen=True, slots=True)
class Head:
    """The market's side of an answer, times in microseconds of the provider's clock."""

    series_id: str
    version: int
    watermark: Micros | None
    now: Micros
    known: bool  # some stamp of the provider was seen
    behind: bool  # acknowledged records wait to be stored
    provider: str
    simulated: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known of a market and a stretch: the head, what is proven, how live spans ended, what is repaired."""

    head: Head
    evidence: Evidence
    ended: list[Ended]
    repairs: list[Repair]


def facts_of(
    market: Market,
    resolution: int,
    start: datetime | None,
    stop: datetime | None,
    back: timedelta = timedelta(),
) -> Facts:
    """Return what is known now of the market and, up to a resolution in seconds, of [start, stop).

    Without stop: up to the end of time. Without start: from `back` before stop, or before the provider's time.
    """
    stale = timedelta(seconds=settings.STALE_AFTER)
    (row,) = fetch_all(FACTS, [market.pk, stale, start, stop, back, resolution])
    head = Head(*row[:8])
    resolutions, starts, stops, reasons, repairs = row[8:]
    spans = list(zip(resolutions or (), starts or (), stops or (), reasons or (), strict=True))
    return Facts(
        head,
        _evidence(head, spans),
        [Ended(high, reason) for of, _, high, reason in spans if not of],
        _repairs(repairs),
    )


def _evidence(head: Head, spans: Sequence[tuple[int, Micros, Micros, str | None]]) -> Evidence:
    return Evidence(
        now=head.now,
        watermark=head.watermark,
        known=head.known,
        behind=head.behind,
        cache_age=CACHE_AGE,
        live=union((low, high) for of, low, high, _ in spans if not of),
        provider={wanted: union((low, high) for of, low, high, _ in spans if of == wanted) for wanted in CACHE_AGE},
    )


def _repairs(text: str | None) -> list[Repair]:
    """Return (start, stop, what is done about it) of the holes that are being repaired."""
    rows: list[Any] = msgspec.json.decode(text) if text else []
    return [
        (low, high, {"reason": reason, "attempts": attempts, "next_try": next_try, "final": final})
        for low, high, reason, attempts, next_try, final in rows
    ]
