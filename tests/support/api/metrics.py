"""The page of metrics, read as Prometheus reads it."""

from __future__ import annotations

from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scraped(client: Client) -> Samples:
    """Ask for the page and read it as Prometheus' own parser does."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain; version=")
    families = text_string_to_metric_families(answer.content.decode())
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}


def value(samples: Samples, name: str, /, **labels: str) -> float | None:
    return samples.get((f"candlekeep_{name}", tuple(sorted(labels.items()))))
