"""Rows of every model that the admin lists, with texts that would run as script if a page did not escape them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from actor_runtime.models import Actor, TransitionLog
from consumers.models import DynamicTopicConsumer, FixedTopicConsumer
from coordination.models import Coordinator
from datastore.models import (
    ApiKey,
    CandleDifference,
    CoverageChange,
    DatabaseClock,
    DatastoreRequest,
    DeadLetter,
    DynamicTopic,
    Feed,
    FetchRequest,
    GapRepair,
    Market,
    Pair,
    ProviderClock,
    Reconciliation,
    Stream,
)
from datastore.reference.markets import ensure_markets
from ingestion.models import Producer

SCRIPT = '<script>alert("here")</script>'
AT = datetime(2026, 11, 1, 12, 34, 56, 789_000, UTC)
SPAN: dict[str, Any] = {"resolution": 60, "start": AT, "stop": AT + timedelta(minutes=1)}

Maker = Callable[[int], Any]


def market(number: int) -> Market:
    """Return a market of its own for each number."""
    made = ensure_markets([f"kraken:A{number}-EUR"])[0]
    Market.objects.filter(pk=made.pk).update(refusal=SCRIPT, refused_since=AT, live_stop=AT, watermark=AT)
    return Market.objects.get(pk=made.pk)


def actor(model: type[Actor]) -> Maker:
    """Return what makes an actor in Error."""

    def make(number: int) -> Actor:
        times = {"last_error_at": AT, "recovered_at": AT, "heartbeat_at": AT, "reset_at": AT}
        made = model._default_manager.create(name=f"one-{number}", last_error=SCRIPT, waiting_for=SCRIPT, **times)
        model._default_manager.filter(pk=made.pk).update(state="error")
        return made

    return make


def topic(number: int) -> DynamicTopic:
    """Return a topic that was given up."""
    return DynamicTopic.objects.create(
        name=f"dyn-{number}", market=market(number), error=SCRIPT, requested_at=AT, live_at=AT, creator=SCRIPT
    )


def compared(number: int) -> Reconciliation:
    """Return a comparison that found a difference."""
    return Reconciliation.objects.create(market=market(number), compared=1, different=1, note=SCRIPT, **SPAN)


def question(number: int) -> DatastoreRequest:
    """Return a question that failed."""
    made = actor(DatastoreRequest)(number)
    span = {"market": SCRIPT, "timeframe": "1m", "start": AT, "stop": AT, "fetches": [1, 2]}
    DatastoreRequest.objects.filter(pk=made.pk).update(**span)
    return DatastoreRequest.objects.get(pk=made.pk)


MAKERS: dict[type, Maker] = {
    Market: market,
    Pair: lambda number: Pair.objects.create(symbol=f"x:A{number}-B", provider_exchange=SCRIPT, seen_at=AT),
    GapRepair: lambda number: GapRepair.objects.create(market=market(number), reason=SCRIPT, next_try=AT, **SPAN),
    CoverageChange: lambda number: CoverageChange.objects.create(
        market=market(number), version=number, what="live", **SPAN
    ),
    FetchRequest: lambda number: FetchRequest.objects.create(
        market=market(number), purpose=1, state="failed", worker=SCRIPT, error=SCRIPT, next_try=AT, **SPAN
    ),
    DeadLetter: lambda number: DeadLetter.objects.create(
        topic="tick-data", market=SCRIPT, reason=SCRIPT, raw=f'{{"a": "{SCRIPT}"}}'.encode(), position=f"{number}-0"
    ),
    Reconciliation: compared,
    CandleDifference: lambda number: CandleDifference.objects.create(
        reconciliation=compared(number), open_time=AT, ours=["1", "2", "1", "1", SCRIPT, "1"], theirs=["1"] * 6
    ),
    Feed: lambda number: Feed.objects.create(
        feed=f"{SCRIPT}{number}",
        topic="tick-data",
        markets=[SCRIPT],
        acknowledged_until=AT,
        acknowledged_at=AT,
        behind_since=AT,
    ),
    DatabaseClock: lambda number: DatabaseClock.objects.create(
        boot=f"boot-{number}", booted_at=AT, ahead=timedelta(0), newest=AT, server_start=AT
    ),
    ProviderClock: lambda number: ProviderClock.objects.create(
        provider=f"p{number}", identity=SCRIPT, measured_at=AT, certain_until=AT
    ),
    ApiKey: lambda number: ApiKey.objects.create(name=f"k{number}", prefix=f"p{number}", sha256=f"{number}"),
    Stream: lambda number: Stream.objects.create(
        market=market(number), timeframe="1m", topic=topic(number), error=SCRIPT, lease_until=AT, created_at=AT
    ),
    DynamicTopic: topic,
    DatastoreRequest: question,
    **{model: actor(model) for model in (Producer, FixedTopicConsumer, DynamicTopicConsumer, Coordinator)},
    TransitionLog: lambda number: TransitionLog.objects.create(
        kind="producer",
        name=SCRIPT,
        event="RESET",
        source="error",
        target="idle",
        first_at=AT,
        last_at=AT,
        reason=SCRIPT,
        by=SCRIPT,
    ),
}
