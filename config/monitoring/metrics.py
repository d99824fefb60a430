"""GET /metrics: the counters of all processes and the gauges, in Prometheus' text format."""

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
from config.monitoring.cached_answer import CachedAnswer
from config.monitoring.gauges import GAUGE_READERS
from datastore.api.auth.permissions import CHALLENGE, TO_READ, may_read
from datastore.api.responses.problem import problem_response
from metering import table
from metering.sharing import collect_counters
from metering.table import MetricDefinition
from streaming.errors import StreamError

T = TypeVar("T")
log = structlog.get_logger(__name__)
# What a part raises whose server is down: the page then names the part and shows all others.
UNAVAILABLE_ERRORS = (DatabaseError, RedisError, StreamError, OSError, RuntimeError, ValueError)


def metrics(request: HttpRequest) -> HttpResponse:
    """Answer with the page; a part that cannot be read is named in candlekeep_scrape_failed, never a 500."""
    if not may_read(request):
        return problem_response(401, TO_READ, headers={"WWW-Authenticate": CHALLENGE})
    return HttpResponse(_page.get(), content_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})


class MetricsPage(Collector):
    """The whole page, read for each scrape."""

    def collect(self) -> Iterator[Metric]:
        """Yield the counters, then the gauges, one of which says what parts are missing."""
        failed: dict[str, bool] = {}
        yield from _read("processes", failed, counters)
        samples = [sample for part, read in GAUGE_READERS.items() for sample in _read(part, failed, read)]
        samples += [(table.MISSING_PART, (part,), float(missing)) for part, missing in failed.items()]

        families: dict[MetricDefinition, GaugeMetricFamily] = {}
        for metric, labels, value in samples:
            family = families.get(metric)
            if family is None:
                family = families[metric] = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
            family.add_metric(labels, value)
        yield from families.values()


def _compute_page() -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(MetricsPage())
    return generate_latest(registry)


_page = CachedAnswer(_compute_page)


def counters() -> Iterable[Metric]:
    """Return the counters of all processes that share a folder, or of this one."""
    if settings.METRICS_DIR:
        return collect_counters(Path(settings.METRICS_DIR))
    return [family for metric in table.COUNTED for family in metric.collect()]


def _read(part: str, failed: dict[str, bool], read: Callable[[], Iterable[T]]) -> list[T]:
    """Return what read() yields, nothing if it fails; note in `failed` whether it did."""
    try:
        found = list(read())
    except UNAVAILABLE_ERRORS as exc:
        log.warning("metrics incomplete", part=part, reason=reason_of(exc))
        failed[part] = True
        return []
    failed[part] = False
    return found
