"""Two live Producers that carry the same markets: rows of their own, and one of them for the topics of streams."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from actor_runtime.loop.runner import Runner
from actor_runtime.steady_time import SteadyNow
from datastore.models import DynamicTopic, Market
from datastore.reference.markets import ensure_markets
from ingestion.live.live_producer_actor import LiveProducer
from ingestion.models import Producer
from ingestion.providers.table import PROVIDERS
from streaming.records import FeedClosed, FeedOpened, Trade, Watermark
from tests.support.ingestion.topics import Topic, told, topic_of
from tests.support.ingestion.venue_bench import VenueBench, venue_bench

pytestmark = pytest.mark.slow

BTC, ETH = "coinbase:BTC-USD", "coinbase:ETH-USD"
FIRST, SECOND = "producer-live-coinbase-1", "producer-live-coinbase-2"


class Pair:
    """Two copies, of which each takes a turn."""

    def __init__(self, bench: VenueBench) -> None:
        self.bench, self.first = bench, bench.runner
        self.second = Runner(LiveProducer(PROVIDERS["coinbase"]), Event(), me="elsewhere:2:2")
        self.living = [self.first, self.second]
        bench.runner = self  # type: ignore[assignment]

    def step(self) -> float:
        """Give each living copy a turn; what it waits meanwhile is not waited here."""
        return min(runner.step() for runner in self.living)

    def end(self) -> None:
        for runner in self.living:
            runner.end()

    def die(self, runner: Runner, name: str) -> None:
        """Let a copy end without a word, as by kill -9 on another machine."""
        self.living.remove(runner)
        Producer.objects.filter(name=name).update(heartbeat_at=SteadyNow() - timedelta(minutes=1))


@pytest.fixture
def pair(transactional_db: None, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    settings.LIVE_COPIES = 2
    with venue_bench("coinbase", [BTC, ETH], tmp_path, settings, monkeypatch, listed=["coinbase:SOL-USD"]) as bench:
        yield Pair(bench)


def both_live(pair: Pair) -> VenueBench:
    bench = pair.bench
    bench.step_until(lambda: len(Producer.objects.exclude(owner="").values_list("name")) == 2)
    bench.step_until(lambda: "tick-data" in bench.broker.admin().topics())
    bench.step_until(lambda: len(bench.feeds()) == 2 and all(len(bench.of(BTC, kind)) > 1 for kind in (FeedOpened,)))
    return bench


def test_each_copy_has_a_row_at_once_and_what_comes_twice_has_the_same_names(pair: Pair) -> None:
    bench = both_live(pair)
    assert sorted(Producer.objects.values_list("name", flat=True)) == [FIRST, SECOND]
    bench.step_until(lambda: len(bench.of(BTC, Trade)) > 40)
    one, other = ([trade for trade in bench.of(BTC, Trade) if trade.feed == feed] for feed in bench.feeds())
    content = {trade.id: (trade.ts, trade.price, trade.amount, trade.side) for trade in one}
    common = [trade for trade in other if trade.id in content]
    assert len(common) > 10
    assert all(content[trade.id] == (trade.ts, trade.price, trade.amount, trade.side) for trade in common)
    assert bench.missing(BTC) == set()


def test_a_stream_is_carried_by_one_copy_and_by_the_other_once_that_one_is_dead(pair: Pair) -> None:
    bench = both_live(pair)
    topic = topic_of(bench, "coinbase:SOL-USD")
    bench.step_until(DynamicTopic.objects.exclude(routed_at=None).exists)
    DynamicTopic.objects.update(state=Topic.LIVE)
    bench.step_until(lambda: len(told(bench, topic, Watermark)) > 2)
    assert len({record.feed for record in told(bench, topic)}) == 1
    assert DynamicTopic.objects.get().producer == FIRST
    pair.die(pair.first, FIRST)
    bench.step_until(lambda: DynamicTopic.objects.get().producer == SECOND)
    bench.step_until(lambda: len({record.feed for record in told(bench, topic, Watermark)}) == 2)
    # The first one comes back: what the second one has, it keeps.
    back = Runner(LiveProducer(PROVIDERS["coinbase"]), Event(), me="elsewhere:3:3")
    pair.living.append(back)
    bench.step_until(lambda: Producer.objects.filter(name=FIRST, owner="elsewhere:3:3").exists())
    held = len(told(bench, topic, Trade))
    bench.step_until(lambda: len(told(bench, topic, Trade)) > held + 5)
    assert len({record.feed for record in told(bench, topic)}) == 2 and not told(bench, topic, FeedClosed)
    DynamicTopic.objects.update(state=Topic.RETIRING)
    bench.step_until(DynamicTopic.objects.exclude(route_ended_at=None).exists)
    (closed,) = told(bench, topic, FeedClosed)
    assert closed.reason == "the stream has ended"


def test_a_refused_market_is_written_by_one_copy_alone(pair: Pair) -> None:
    ensure_markets(["coinbase:NOPE-USD"])
    bench = both_live(pair)
    bench.step_until(lambda: Market.objects.filter(symbol="coinbase:NOPE-USD").exclude(refusal=None).exists())
    since = Market.objects.get(symbol="coinbase:NOPE-USD").refused_since
    bench.step_until(lambda: len(bench.of(BTC, Trade)) > 40)
    assert Market.objects.get(symbol="coinbase:NOPE-USD").refused_since == since
