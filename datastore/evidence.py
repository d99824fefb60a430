"""What is known of a market, and what is proven of a stretch of its time: the facts that a certificate is made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from datastore.certificate import Evidence
from datastore.intervals import union
from datastore.models import Market
from datastore.provider import CACHE_AGE
from datastore.queries import fetch_all
from datastore.segments import Ended
from streaming.records import Micros

HEAD = "select * from series_head(%s, %s)"
COVERAGE = "select * from series_coverage(%s, %s, %s, %s)"


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


def head_of(market: Market) -> Head:
    """Return what is known of the market now."""
    (row,) = fetch_all(HEAD, [market.pk, timedelta(seconds=settings.STALE_AFTER)])
    return Head(*row)


def evidence_of(
    market: Market, head: Head, resolution: int, start: datetime, stop: datetime
) -> tuple[Evidence, list[Ended]]:
    """Return what is proven of [start, stop) up to a resolution in seconds, and how its live spans ended."""
    spans = fetch_all(COVERAGE, [market.pk, start, stop, resolution])
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
