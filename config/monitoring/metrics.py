"""GET /metrics: what all processes have counted, and the states of rows, in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import structlog
from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from actor_runtime.reset_policy import reason_of
from config.monitoring.gauges import GAUGE_READERS, Sample
from datastore.api.auth.permissions import CHALLENGE, TO_READ, may_read
from datastore.api.responses.problem import problem_response
from metering import table
from metering.sharing import collect_counters
from metering.table import MetricDefinition
from streaming.errors import StreamError

T = TypeVar("T")
log = structlog.get_logger(__name__)
# What a part that is away raises: the page then says which is missing and tells all the rest.
UNAVAILABLE_ERRORS = (DatabaseError, RedisError, StreamError, OSError, RuntimeError, ValueError)


def metrics(request: HttpRequest) -> HttpResponse:
    """Answer the page; a part that cannot be read is named in candlekeep_scrape_failed, never a 500."""
    if not may_read(request):
        return problem_response(401, TO_READ, headers={"WWW-Authenticate": CHALLENGE})
    registry = CollectorRegistry(auto_describe=False)
    registry.register(MetricsPage())
    page = generate_latest(registry)
    return HttpResponse(page, content_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})


class MetricsPage(Collector):
    """All of it, anew for each scrape."""

    def collect(self) -> Iterator[Metric]:
        """Yield the counters, then the figures, then which part is missing."""
        failed: dict[str, bool] = {}
        yield from _read("processes", failed, _counters)
        samples = [sample for part, read in GAUGE_READERS.items() for sample in _read(part, failed, read)]
        samples += [(table.MISSING_PART, (part,), float(missing)) for part, missing in failed.items()]
        yield from _families(samples)


def _counters() -> Iterable[Metric]:
    if settings.METRICS_DIR:
        return collect_counters(Path(settings.METRICS_DIR))
    return [family for metric in table.COUNTED for family in metric.collect()]  # this process' own


def _read(part: str, failed: dict[str, bool], read: Callable[[], Iterable[T]]) -> list[T]:
    try:
        found = list(read())
    except UNAVAILABLE_ERRORS as exc:
        log.warning("metrics incomplete", part=part, reason=reason_of(exc))
        failed[part] = True
        return []
    failed[part] = False
    return found


def _families(samples: Iterable[Sample]) -> Iterator[Metric]:
    found: dict[MetricDefinition, GaugeMetricFamily] = {}
    for figure, labels, value in samples:
        family = found.get(figure)
        if family is None:
            family = found[figure] = GaugeMetricFamily(figure.name, figure.help, labels=figure.labels)
        family.add_metric(labels, value)
    yield from found.values()
