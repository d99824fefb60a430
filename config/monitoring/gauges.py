"""The gauges of /metrics, read from rows, broker and cache at each scrape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from actor_runtime.configured_broker import brief_admin
from actor_runtime.models import actor_models, with_silence
from consumers.topic_acks import open_topics
from datastore import metrics
from datastore.access.counters import ask_counters
from datastore.backfill import fetch_queue
from datastore.coverage.reasons import ANY_CODE
from datastore.models import DatastoreRequest
from datastore.reference.traits import Proof
from datastore.sse.follower_counts import followers_by_process
from datastore.streams import lifecycle, topics
from ingestion.history.provider_quota import quota_of
from ingestion.providers.table import configured
from metering import table
from metering.table import MetricDefinition
from streaming.ends import EndCode
from streaming.topics import CANDLE_DATA, CONSUMER_GROUP, DYNAMIC_LABEL, TICK_DATA

Sample = tuple[MetricDefinition, tuple[str, ...], float]


def markets() -> Iterator[Sample]:
    """Yield how many seconds markets are behind; an age that was never known is left out."""
    for symbol, proven, reconciled in metrics.ages():
        # The watermark also counts the waiting for a dead feed, so its own age would stop growing at STALE_AFTER.
        ages = ((table.WATERMARK_AGE, proven), (table.FEED_AGE, proven), (table.RECONCILED_AGE, reconciled))
        for metric, age in ages:
            if age is not None:
                yield metric, (symbol,), age


def proofs() -> Iterator[Sample]:
    """Yield what the live end of each market rests on, and how many of its trades are known to be missing."""
    for symbol, found in metrics.proofs():
        for proof in Proof:
            yield table.LIVE_PROOF, (symbol, proof), float(proof == found)
    for symbol, count in metrics.missing_trades().items():
        yield table.MISSING_TRADES, (symbol,), count


def gaps() -> Iterator[Sample]:
    """Yield the number and the seconds of gaps, final ones separately, and their number by the kind of reason."""
    for symbol, resolution, final, count, seconds in metrics.gaps():
        labels = (symbol, str(resolution), "yes" if final else "no")
        yield table.GAPS, labels, count
        yield table.GAP_SECONDS, labels, seconds
    of_code: Counter[str] = Counter()
    for code, count in metrics.gap_reasons():
        of_code[code if code in ANY_CODE else EndCode.OTHER.value] += count  # labels are bounded, whatever a row says
    for code in ANY_CODE:
        yield table.GAP_REASONS, (code,), of_code[code]


def queues() -> Iterator[Sample]:
    """Yield what is queued, by state, and what could not be stored."""
    for topic, count in metrics.dead_letters():
        yield table.DEAD_LETTERS, (topic,), count
    for state, count in fetch_queue.count_by_state().items():
        yield table.FETCH_REQUESTS, (state,), count
    for state, count in metrics.requests_by_state().items():
        yield table.DATASTORE_REQUESTS, (state,), count
    yield table.OLDEST_FETCH, (), metrics.oldest_fetch()
    for state, count in lifecycle.count_by_state().items():
        yield table.STREAMS, (state,), count
    for state, count in topics.count_by_state().items():
        yield table.DYNAMIC_TOPICS, (state,), count


def actors() -> Iterator[Sample]:
    """Yield every actor's state and heartbeat age; requests, which are many and short, are only counted in queues()."""
    for model in actor_models():
        if model is DatastoreRequest:
            continue
        kind = str(model._meta.model_name)
        rows: Iterable[Any] = with_silence(model._default_manager.filter(retired_at=None)).order_by("name")
        for row in rows:
            for state in model.State.values:
                yield table.ACTOR_STATE, (kind, row.name, state), float(row.state == state)
            if row.owner and row.silence is not None:
                yield table.HEARTBEAT_AGE, (kind, row.name), row.silence.total_seconds()


def schedules() -> Iterator[Sample]:
    """Yield the seconds since beat last sent each schedule; it saves that every few minutes."""
    now = timezone.now()
    for schedule in PeriodicTask.objects.filter(enabled=True, last_run_at__isnull=False).order_by("name"):
        yield table.SCHEDULE_AGE, (schedule.name,), (now - schedule.last_run_at).total_seconds()


def stream() -> Iterator[Sample]:
    """Yield how many records the consumers of the fixed topics are behind."""
    for topic in (TICK_DATA, CANDLE_DATA):
        yield table.LAG, (topic.name,), unread_records(topic.name)


def dynamic_topics() -> Iterator[Sample]:
    """Yield how many records the consumers of all dynamic topics are behind, in total."""
    yield table.LAG, (DYNAMIC_LABEL,), unread_dynamic_records()


def budget() -> Iterator[Sample]:
    """Yield how many calls of each provider each window still allows, and its limit."""
    for provider in configured():
        for window, left in quota_of(provider.traits, ask_counters).remaining().items():
            yield table.BUDGET_LEFT, (provider.name, window), left.calls
            yield table.BUDGET_LIMIT, (provider.name, window), left.limit


def followers() -> Iterator[Sample]:
    """Yield how many followers each stream process has."""
    for process, count in followers_by_process().items():
        yield table.SSE_FOLLOWERS, (process,), count


GAUGE_READERS: dict[str, Callable[[], Iterable[Sample]]] = {
    "markets": markets,
    "gaps": gaps,
    "proofs": proofs,
    "queues": queues,
    "actors": actors,
    "schedules": schedules,
    "stream": stream,
    "dynamic": dynamic_topics,
    "budget": budget,
    "followers": followers,
}


def unread_records(topic: str) -> int:
    """Return how many records of a fixed topic are not stored yet, 0 if there is no topic; raise StreamUnavailable."""
    with brief_admin() as admin:
        return admin.unread(CONSUMER_GROUP, [topic], shared=True).get(topic, 0)


def unread_dynamic_records() -> int:
    """Return how many records of all dynamic topics are not stored yet; raise StreamUnavailable."""
    names = sorted(open_topics())
    if not names:
        return 0
    with brief_admin() as admin:
        return sum(admin.unread(CONSUMER_GROUP, names, shared=False).values())
