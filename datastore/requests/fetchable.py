"""Which of the things that a series lacks may be asked of the provider now, and why the others may not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.apps import apps
from django.db.models import Q
from django.db.models.functions import Now

from actor_runtime.models import with_silence
from actor_runtime.ownership.claims import STALE_AFTER
from datastore.backfill.fetch_queue import failed_lately
from datastore.coverage.gaps import beyond_watermark
from datastore.models import DatastoreRequest, FetchRequest, GapRepair, Market
from datastore.requests.missing import MissingSpan
from datastore.timeframes.intervals import micros_of, moment, subtract, union

State = FetchRequest.State
NO_COORDINATOR = "no Coordinator is running, so nothing can be fetched now"


def fetchable_spans(market: Market, lacks: Sequence[MissingSpan]) -> tuple[list[MissingSpan], str | None]:
    """Return what of it nobody has tried to fetch yet, or why that cannot be fetched now."""
    untried = [part for lack in lacks for part in _untried(market, lack)]
    if not untried:
        return [], None
    if not coordinator_runs():
        return [], NO_COORDINATOR
    failed = [(lack, failed_lately(market, lack.resolution, lack.start, lack.stop)) for lack in untried]
    wanted = [lack for lack, why in failed if why is None]
    return [*wanted, *_ahead(market, wanted)], next((why for _, why in failed if why is not None), None)


def _ahead(market: Market, lacks: Sequence[MissingSpan]) -> Iterator[MissingSpan]:
    """Yield what follows these lacks and is no hole yet, where no feed will bring it: it becomes one while we wait."""
    for resolution in {lack.resolution for lack in lacks}:
        known = max(lack.stop for lack in lacks if lack.resolution == resolution)
        for start, stop in beyond_watermark(market, resolution):
            if moment(start) <= known:
                yield MissingSpan(resolution, moment(start), moment(stop))


def _untried(market: Market, lack: MissingSpan) -> Iterator[MissingSpan]:
    """Yield the parts that are neither under repair nor refused for good."""
    tried = GapRepair.objects.filter(
        Q(final=True) | Q(attempts__gt=0),
        market=market,
        resolution=lack.resolution,
        start__lt=lack.stop,
        stop__gt=lack.start,
    )
    spans = union((micros_of(start), micros_of(stop)) for start, stop in tried.values_list("start", "stop"))
    for start, stop in subtract([(micros_of(lack.start), micros_of(lack.stop))], spans):
        yield MissingSpan(lack.resolution, moment(start), moment(stop))


def coordinator_runs() -> bool:
    """Tell whether a Coordinator has given a sign of life within 10 s; without one nothing is fetched."""
    rows = with_silence(apps.get_model("coordination", "Coordinator")._default_manager.exclude(owner=""))
    return bool(rows.filter(retired_at=None, silence__lte=STALE_AFTER).exists())


def provider_away(request: DatastoreRequest) -> str | None:
    """Return why the provider is left alone for now, None where it is not: then its answer is worth waiting for."""
    own = FetchRequest.objects.filter(pk__in=request.fetches)
    # Where another market's answer fell short the provider is there all the same.
    away = Q(resolution__in=own.values("resolution"), fell_short=0) | Q(pk__in=own.values("pk"))
    held = FetchRequest.objects.filter(away, state=State.QUEUED, error__isnull=False, next_try__gt=Now()).first()
    return held.error if held else None
