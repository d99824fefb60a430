"""What is known of a market, and what is proven of a stretch of its time: the facts that a certificate is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.conf import settings

from datastore.coverage.certificate import Evidence
from datastore.coverage.segments import Ended, Repair
from datastore.db.queries import fetch_all
from datastore.models import Market
from datastore.reference.provider import CACHE_AGE
from datastore.timeframes.intervals import union
from streaming.records import Micros

HEAD = "select * from series_head(%s, %s)"
COVERAGE = "select * from series_coverage(%s, %s, %s, %s)"
FACTS = "select * from series_facts(%s, %s, %s, %s, %s, %s)"
Span = tuple[int, Micros, Micros, str | None]  # resolution, 0 for a live one; start; stop; how it ended


@dataclass(frozen=True, slots=True)
class MarketHead:
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

    head: MarketHead
    evidence: Evidence
    ended: list[Ended]
    repairs: list[Repair]


def head_of(market: Market) -> MarketHead:
    """Return what is known of the market now."""
    (row,) = fetch_all(HEAD, [market.pk, _stale_after()])
    return MarketHead(*row)


def evidence_of(
    market: Market, head: MarketHead, resolution: int, start: datetime, stop: datetime
) -> tuple[Evidence, list[Ended]]:
    """Return what is proven of [start, stop) up to a resolution in seconds, and how its live spans ended."""
    return _evidence(head, fetch_all(COVERAGE, [market.pk, start, stop, resolution]))


def facts_of(
    market: Market,
    resolution: int,
    start: datetime | None,
    stop: datetime | None,
    back: timedelta = timedelta(),
) -> Facts:
    """Return all of it in one question.

    Without stop: up to the end of time. Without start: from `back` before stop, or before the provider's time.
    """
    (row,) = fetch_all(FACTS, [market.pk, _stale_after(), start, stop, back, resolution])
    head, columns, repairs = MarketHead(*row[:8]), row[8:12], row[12]
    spans = list(zip(*(column or () for column in columns), strict=True))
    return Facts(head, *_evidence(head, spans), _repairs(repairs))


def _stale_after() -> timedelta:
    return timedelta(seconds=settings.STALE_AFTER)


def _evidence(head: MarketHead, spans: Sequence[Span]) -> tuple[Evidence, list[Ended]]:
    evidence = Evidence(
        now=head.now,
        watermark=head.watermark,
        known=head.known,
        behind=head.behind,
        cache_age=CACHE_AGE,
        live=union((low, high) for of, low, high, _ in spans if not of),
        provider={wanted: union((low, high) for of, low, high, _ in spans if of == wanted) for wanted in CACHE_AGE},
    )
    return evidence, [Ended(high, reason) for of, _, high, reason in spans if not of]


def _repairs(text: str | None) -> list[Repair]:
    """Return (start, stop, what is done about it) of the holes that are being repaired."""
    rows: list[Any] = msgspec.json.decode(text) if text else []
    return [
        (low, high, {"reason": reason, "attempts": attempts, "next_try": next_try, "final": final})
        for low, high, reason, attempts, next_try, final in rows
    ]
