"""History producers between a real simulator and a broker in memory."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from threading import Event
from typing import Any

from django.db import connection

from actor_runtime.loop.runner import Runner
from actor_runtime.models import TransitionLog
from datastore.models import FetchRequest
from datastore.reference.markets import ensure_markets
from datastore.timeframes.intervals import micros_of, moment
from ingestion import tasks
from ingestion.history.history_producer_actor import HistoryProducer, fetch
from ingestion.history.pool import ensure_pool
from ingestion.models import Producer
from ingestion.providers.table import PROVIDERS
from streaming.history_records import ProviderSpan, decode_history
from tests.support.polling import until
from tests.support.simulator import Simulator
from tests.support.streaming.memory import MemoryBroker

BTC, DOGE = "coinbase:BTC-USD", "coinbase:DOGE-USD"
MINUTE, HOUR, DAY = 60, 3600, 86_400
State, Actor = FetchRequest.State, Producer.State


@dataclass
class Bench:
    """History producers between a real simulator and a broker in memory."""

    simulator: Simulator
    broker: MemoryBroker

    def ask(self, buckets: int, resolution: int = MINUTE, *, ended: int = 120, symbol: str = BTC) -> FetchRequest:
        """Ask for the buckets before the one that ended so many seconds ago."""
        stop = (int(self.simulator.now()) - ended) // resolution * resolution
        (market,) = ensure_markets([symbol])
        start = moment((stop - buckets * resolution) * 1_000_000)
        return FetchRequest.objects.create(
            market=market, resolution=resolution, start=start, stop=moment(stop * 1_000_000), purpose=0
        )

    def records(self, kind: type[Any] = object) -> list[Any]:
        reader = self.broker.subscribe(uuid.uuid4().hex, ["candle-data"])
        found = decode_history([record.value for record in reader.poll(0, 1_000_000)])
        return [record for record in found if isinstance(record, kind)]

    def calls(self) -> int:
        counts = self.simulator.get("/control/stats")["rest_calls"]
        return sum(count for path, count in counts.items() if "histo" in path)


def fetched(request: FetchRequest) -> FetchRequest:
    fetch(request.pk, Event())
    request.refresh_from_db()
    return request


def stepped(request: FetchRequest, done: Callable[[], Any], seconds: float = 20) -> Runner:
    """Step a job until done() or its end."""
    ensure_pool()
    runner = Runner(HistoryProducer(request.pk, PROVIDERS[request.market.provider]), Event())
    until(Producer.objects.values, lambda: runner.stop.is_set() or done(), seconds, step=runner.step)
    return runner


def covered(spans: list[ProviderSpan], request: FetchRequest) -> bool:
    """Return whether spans, newest first, hold exactly what was asked for."""
    edges = [(span.start, span.stop) for span in reversed(spans)]
    joined = all(before[1] == after[0] for before, after in pairwise(edges))
    return joined and (edges[0][0], edges[-1][1]) == (micros_of(request.start), micros_of(request.stop))


def states() -> set[str]:
    return set(Producer.objects.values_list("state", flat=True))


def events() -> list[str]:
    return list(TransitionLog.objects.order_by("id").values_list("event", flat=True))


def run_task(request_id: int) -> None:
    try:
        tasks.fetch(request_id)
    finally:
        connection.close()
