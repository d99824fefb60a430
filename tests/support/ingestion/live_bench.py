"""A live Producer between a real simulator and a broker in memory."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from django.conf import settings as django_settings

from actor_runtime.loop.runner import Runner
from datastore.reference.markets import ensure_markets
from ingestion.live.live_producer_actor import LiveProducer
from ingestion.models import Producer
from ingestion.providers.cryptocompare.provider import PROVIDER as CRYPTOCOMPARE
from ingestion.providers.cryptocompare.traits import TRAITS
from ingestion.providers.table import PROVIDERS
from streaming.records import FeedOpened, LiveRecord, Watermark, decode
from tests.support.polling import until
from tests.support.simulator import Simulator, running
from tests.support.streaming.memory import MemoryBroker

BTC, EUR, SOL = "coinbase:BTC-USD", "kraken:BTC-EUR", "coinbase:SOL-USD"
State = Producer.State


@dataclass
class Bench:
    """A producer between a real simulator and a broker in memory."""

    simulator: Simulator
    broker: MemoryBroker
    runner: Runner

    def step_until(self, done: Callable[[], Any], seconds: float = 30) -> None:
        until(Producer.objects.values, done, seconds, step=self.runner.step)

    def records(self) -> list[LiveRecord]:
        reader = self.broker.subscribe(uuid.uuid4().hex, ["tick-data"])
        return [decode(record.value) for record in reader.poll(0, 1_000_000)]

    def count(self, kind: type) -> int:
        return sum(type(record) is kind for record in self.records())

    def state(self) -> str:
        return str(Producer.objects.get().state)


@pytest.fixture
def bench(transactional_db: None, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    quick = replace(CRYPTOCOMPARE.traits.stream, reconnect_after=timedelta(seconds=0.2))
    monkeypatch.setitem(PROVIDERS, "cryptocompare", replace(CRYPTOCOMPARE, traits=replace(TRAITS, stream=quick)))
    ensure_markets([BTC, EUR])
    name = uuid.uuid4().hex
    with running(tmp_path, "--markets", f"{BTC},{EUR}", "--listed", SOL, "--speed", "20") as simulator:
        settings.STREAM_URL, settings.STALE_AFTER = f"memory://{name}", 1800
        settings.CRYPTOCOMPARE_WS_URL = simulator.ws_url
        settings.CRYPTOCOMPARE_REST_URL = simulator.rest_url
        broker = MemoryBroker.named(name, django_settings.STREAM_MAXLEN)
        runner = Runner(LiveProducer(PROVIDERS["cryptocompare"]), Event())
        yield Bench(simulator, broker, runner)
        runner.end()
        MemoryBroker.forget(name)


def live(bench: Bench, markets: int = 2) -> Bench:
    """Step until all markets are open and something is claimed."""
    bench.step_until(lambda: bench.runner.loop is not None and Producer.objects.exists())
    bench.step_until(lambda: "tick-data" in bench.broker.admin().topics())
    bench.step_until(lambda: bench.count(FeedOpened) == markets and bench.count(Watermark) > 2)
    return bench


def numbers(records: list[LiveRecord], feed: str, market: str) -> list[int]:
    return [record.n for record in records if (record.feed, record.market) == (feed, market)]
