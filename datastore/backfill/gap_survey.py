"""What the gap scan looks at, read for many markets in a fixed number of statements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import BooleanField, ExpressionWrapper, F, Q, Window
from django.db.models.functions import RowNumber

from actor_runtime.steady_time import SteadyNow
from datastore.backfill.fetch_queue import RETRY_FAILED_AFTER
from datastore.coverage.facts import Stretch, facts_of_many
from datastore.coverage.gaps import gap_segments_of, unproven_beyond
from datastore.coverage.segments import Segment
from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement
from datastore.models import FetchRequest, GapRepair
from datastore.reference.staleness import stale_after
from datastore.timeframes.intervals import Interval, micros_of, moment
from datastore.timeframes.timeframe import BASE

MAX_ERRORS_READ = 50  # newest failures of a market and resolution that may explain its gaps

State = FetchRequest.State


@dataclass(slots=True)
class Survey:
    """One market at one resolution: its gaps as they are now, and what was stored and requested about them.

    `gaps` and `beyond` are empty if the resolution was never covered or requested. beyond: what no feed will bring
    although the watermark is not there yet.
    """

    market_id: int
    resolution: int  # seconds
    now: datetime  # the database's clock
    gaps: Sequence[Segment] = ()
    beyond: Sequence[Interval] = ()
    final: Sequence[Interval] = ()
    rows: list[GapRepair] = field(default_factory=list)  # gaps under repair as the last scan stored them
    requests: list[FetchRequest] = field(default_factory=list)  # for candles, those that have not ended
    filling: list[Interval] = field(default_factory=list)  # buckets that requests for trades under way will prove
    errors: list[Any] = field(default_factory=list)  # ended or held up by an error, newest first; `is_recent`


def survey(market_ids: Collection[int]) -> list[Survey]:
    """Return the surveys of these markets, by market and resolution."""
    ids = sorted(market_ids)
    found: dict[tuple[int, int], Survey] = {}
    stretches: list[Stretch] = []
    on_its_way: dict[int, datetime] = {}
    values = {"ids": ids, "stale": stale_after()}
    for market_id, resolution, since, until, acknowledged, now in fetch_all(statement("known", "surveyed"), values):
        found[market_id, resolution] = Survey(market_id, resolution, now)
        on_its_way[market_id] = acknowledged
        if since is not None:
            frame = BASE[resolution]
            stretches.append(Stretch(market_id, resolution, frame.floor(since), frame.ceil(until)))

    for stretch, facts in zip(stretches, facts_of_many(stretches), strict=True):
        one = found[stretch.market_id, stretch.resolution]
        one.gaps = gap_segments_of(facts, stretch.resolution, stretch.start, stretch.stop)
        one.final = facts.final_gaps
        if facts.head.known:
            one.beyond = unproven_beyond(facts.evidence, stretch.resolution, on_its_way[stretch.market_id])

    for row in GapRepair.objects.filter(market__in=ids, final=False).order_by("start"):
        found[row.market_id, row.resolution].rows.append(row)
    for request in FetchRequest.objects.filter(market__in=ids, state__in=FetchRequest.ACTIVE).order_by("id"):
        if request.resolution != FetchRequest.TRADES:
            found[request.market_id, request.resolution].requests.append(request)
        elif request.last_id is not None:
            for resolution, frame in BASE.items():
                span = micros_of(frame.floor(request.start)), micros_of(frame.ceil(request.stop))
                found[request.market_id, resolution].filling.append(span)
    # Only what is missing has to be explained, and at rest nothing is.
    if lacking := {one.market_id for one in found.values() if one.gaps or one.beyond}:
        for key, errors in _errors(lacking).items():
            found[key].errors = errors

    return list(found.values())


def _errors(market_ids: Collection[int]) -> dict[tuple[int, int], list[Any]]:
    """Return by market and resolution the newest requests that failed or are held up."""
    recent = Q(state=State.FAILED, finished_at__gt=SteadyNow() - RETRY_FAILED_AFTER)
    place = Window(RowNumber(), partition_by=[F("market"), F("resolution")], order_by=F("id").desc())
    candles = FetchRequest.objects.filter(market__in=market_ids).exclude(resolution=FetchRequest.TRADES)
    failed = candles.filter(Q(error__isnull=False) | recent)
    newest = failed.exclude(state=State.DONE).annotate(
        is_recent=ExpressionWrapper(recent, output_field=BooleanField()), place=place
    )
    errors: dict[tuple[int, int], list[Any]] = defaultdict(list)
    for request in newest.filter(place__lte=MAX_ERRORS_READ).order_by("-id"):
        errors[request.market_id, request.resolution].append(request)
    return errors


def bounds_of(intervals: Sequence[Interval]) -> tuple[datetime, datetime] | None:
    """Return the first start and the last stop, None without any."""
    return (moment(intervals[0][0]), moment(intervals[-1][1])) if intervals else None


def intervals_of(requests: Collection[FetchRequest]) -> Iterator[Interval]:
    """Yield the time of each request in microseconds."""
    return ((micros_of(one.start), micros_of(one.stop)) for one in requests)
