"""A live Producer of one venue between a simulated venue and a broker in memory."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from django.conf import settings as django_settings

from actor_runtime.loop.runner import Runner
from datastore.reference.markets import ensure_markets
from datastore.reference.traits import Limits
from ingestion.live.live_producer_actor import LiveProducer
from ingestion.providers.table import PROVIDERS
from streaming.records import FeedClosed, FeedOpened, Trade, Watermark
from tests.support.ingestion.live_bench import Bench
from tests.support.simulator import running
from tests.support.streaming.memory import MemoryBroker

SPEED = 20
STEADY = ("kraken",)  # stamps its time too seldom to be followed at another speed than its own


@dataclass
class VenueBench(Bench):
    """A live Producer of one venue."""

    venue: str = ""

    @property
    def work(self) -> LiveProducer:
        assert isinstance(self.runner.work, LiveProducer)
        return self.runner.work

    def of(self, market: str, kind: type) -> list[Any]:
        return [record for record in self.records() if record.market == market and type(record) is kind]

    def fault(self, name: str, **fields: Any) -> None:
        self.simulator.fault(f"venues/{self.venue}/{name}", **fields)

    def seen(self) -> dict[str, Any]:
        return dict(self.simulator.get("/control/venues")[self.venue])

    def exceeded(self) -> dict[str, int]:
        return {row["limit"]: row["exceeded"] for row in self.seen()["limits"] if row["exceeded"]}

    def missing(self, market: str) -> set[int]:
        """Return the venue's ids between the first and the last trade that were not published."""
        covered = {number for one in self.of(market, Trade) for number in range(one.first, one.last + 1)}
        return set(range(min(covered), max(covered) + 1)) - covered

    def holes(self, market: str) -> list[tuple[int, int]]:
        """Return the times within the first and the last claim of a market that no feed of it claims."""
        spans: dict[tuple[str, int], int] = {}
        for record in self.records():
            if record.market == market and isinstance(record, Watermark):
                spans[record.feed, record.start] = max(record.until, spans.get((record.feed, record.start), 0))
            elif record.market == market and isinstance(record, FeedClosed) and record.stop:
                spans[record.feed, record.start] = max(record.stop, spans.get((record.feed, record.start), 0))
        edges = sorted((start, stop) for (_, start), stop in spans.items() if stop > start)
        found, reached = [], edges[0][0]
        for start, stop in edges:
            if start > reached:
                found.append((reached, start))
            reached = max(reached, stop)
        return found

    def feeds(self) -> list[str]:
        return list(dict.fromkeys(record.feed for record in self.records()))

    def until_live(self, markets: Sequence[str]) -> None:
        self.step_until(lambda: "tick-data" in self.broker.admin().topics())
        self.step_until(lambda: all(self.of(market, FeedOpened) and self.of(market, Trade) for market in markets))
        if self.venue not in STEADY:  # else its second stamp, without which nothing is claimed, takes half a minute
            self.step_until(lambda: all(self.of(market, Watermark) for market in markets))


@contextmanager
def venue_bench(
    venue: str,
    markets: Sequence[str],
    folder: Path,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    *,
    listed: Sequence[str] = (),
    **limits: Any,
) -> Iterator[VenueBench]:
    """Follow these markets of a venue; limits: what is changed of the venue's limits as we know them."""
    provider = PROVIDERS[venue]
    traits = replace(
        provider.traits,
        stream=replace(provider.traits.stream, reconnect_after=timedelta(seconds=0.2)),
        limits=replace(provider.traits.limits, **limits) if limits else provider.traits.limits,
    )
    assert isinstance(traits.limits, Limits)
    monkeypatch.setitem(PROVIDERS, venue, replace(provider, traits=traits))
    name = uuid.uuid4().hex
    speed = 1 if venue in STEADY else SPEED
    options = ("--markets", ",".join([*markets, *listed]), "--venues", venue, "--rate", "1", "--speed", str(speed))
    with running(folder, *options) as simulator:
        settings.PROVIDERS = [venue]
        settings.STREAM_URL, settings.STALE_AFTER = f"memory://{name}", 90 * speed
        address = simulator.venue(venue)
        setattr(settings, f"{venue.upper()}_WS_URL", address.ws_url)
        setattr(settings, f"{venue.upper()}_REST_URL", address.rest_url)
        ensure_markets(list(markets))
        broker = MemoryBroker.named(name, django_settings.STREAM_MAXLEN)
        runner = Runner(LiveProducer(PROVIDERS[venue]), Event())
        yield VenueBench(simulator, broker, runner, venue)
        runner.end()
        MemoryBroker.forget(name)
