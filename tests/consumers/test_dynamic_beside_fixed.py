"""A market that is on the fixed topic and on one of its own: stored once, its coverage united."""

from __future__ import annotations

import random
from collections.abc import Iterator
from threading import Event
from typing import Any

import pytest
from django_redis import get_redis_connection

from actor_runtime.loop.runner import Runner
from consumers.fixed_consumer_actor import FixedTopicWork
from datastore.ingest.live_write import digest
from datastore.models import Coverage, DynamicTopic, Market, Tick
from datastore.reference.markets import ensure_markets
from datastore.series.reader import read_series
from streaming.broker import Message
from streaming.records import FeedOpened, LiveRecord, Trade, Watermark, encode
from tests.datastore.conftest import ProviderTime
from tests.support.consumers.dynamic import broker, make_topics, name_of, pool_of, publish, step_until, symbol, unread
from tests.support.datastore.records import MINUTE, NOON, SECOND, moment, opened, trade, watermark
from tests.support.polling import until

pytestmark = pytest.mark.django_db(transaction=True)
FIXED = "tick-data"
LAST = NOON + 12 * MINUTE


@pytest.fixture(autouse=True)
def empty_valkey() -> Iterator[None]:
    get_redis_connection("default").flushall()
    yield
    get_redis_connection("default").flushall()


def brought(feed: str, market: str, since: int = NOON) -> list[LiveRecord]:
    """Return what a route that began at a time carries of the same ten minutes of trades."""
    found: list[LiveRecord] = [opened(1, since, feed=feed, market=market)]
    for index in range(60):
        ts = NOON + index * 10 * SECOND
        if ts < since:
            continue
        price, n = str(100 + index * 7 % 13), len(found) + 1
        found.append(trade(n, ts, price, "0.5", id=f"x{index}", seq=index, market=market, feed=feed))
        found.append(watermark(n + 1, ts + 10 * SECOND, start=since, market=market, feed=feed))
    return found


def to_fixed(found: list[LiveRecord]) -> None:
    broker().publisher().publish(FIXED, [Message(record.market, encode(record)) for record in found])


def certificate(market: Market) -> list[tuple[Any, ...]]:
    series = read_series(market, "1m", moment(NOON), moment(NOON + 10 * MINUTE))
    return [(one.state, one.start, one.stop, one.reason) for one in series.segments]


def of_fixed_alone(number: int) -> tuple[str, list[tuple[Any, ...]]]:
    """Return digest and certificate of a market that only the fixed topic carries."""
    (market,) = ensure_markets([symbol(number)])
    to_fixed(brought(f"{FIXED}/one", market.symbol))
    runner = Runner(FixedTopicWork(FIXED), Event())
    until("stored", lambda: runner.step() is not None and Tick.objects.filter(market=market).count() == 60, 60)
    runner.end()
    market.refresh_from_db()
    return digest(market), certificate(market)


@pytest.mark.parametrize("seed", range(4))
def test_both_consumers_in_any_order_store_what_one_would_have(seed: int) -> None:
    broker().admin().create_topic(FIXED)
    ProviderTime().set(LAST)
    expected = of_fixed_alone(9)
    rng = random.Random(seed)
    (topic,) = make_topics(1)
    # The route is some minutes younger than the fixed feed, and proves only what itself has carried.
    since = NOON + rng.randint(1, 4) * MINUTE
    left = {FIXED: brought(f"{FIXED}/two", symbol(0)), name_of(0): brought(f"{name_of(0)}/one", symbol(0), since)}
    dynamic, fixed = pool_of(), Runner(FixedTopicWork(FIXED), Event())
    while any(left.values()):
        name = rng.choice([name for name, records in left.items() if records])
        size = rng.randint(1, 12)
        taken, left[name] = left[name][:size], left[name][size:]
        if name == FIXED:
            to_fixed(taken)
        else:
            publish(0, taken)
        rng.choice((dynamic, fixed)).step()
    step_until(lambda: not unread(0) and fixed.step() == 0.0, dynamic)
    market = topic.market
    until("both are read", lambda: fixed.step() is not None and Coverage.objects.filter(market=market).count() == 2, 60)
    fixed.end()
    dynamic.end()
    market.refresh_from_db()
    assert Tick.objects.filter(market=market).count() == 60
    assert (digest(market), certificate(market)) == expected
    spans = dict(Coverage.objects.filter(market=market).values_list("feed", "start"))
    assert spans == {f"{FIXED}/two": moment(NOON), f"{name_of(0)}/one": moment(since)}


def test_two_routes_that_overlap_prove_together_what_neither_does_alone() -> None:
    broker().admin().create_topic(FIXED)
    ProviderTime().set(LAST)
    expected = of_fixed_alone(9)
    make_topics(1)
    whole = brought(f"{FIXED}/two", symbol(0))
    cut = NOON + 5 * MINUTE
    to_fixed([record for record in whole if _time(record) <= cut])  # its Producer dies
    publish(0, brought(f"{name_of(0)}/one", symbol(0), NOON + 4 * MINUTE))
    dynamic, fixed = pool_of(), Runner(FixedTopicWork(FIXED), Event())
    step_until(lambda: not unread(0), dynamic)
    market = DynamicTopic.objects.get().market
    until("both are read", lambda: fixed.step() is not None and Tick.objects.filter(market=market).count() == 60, 60)
    fixed.end()
    dynamic.end()
    market.refresh_from_db()
    assert (digest(market), certificate(market)) == expected


def _time(record: LiveRecord) -> int:
    if isinstance(record, Trade):
        return record.ts
    return record.until if isinstance(record, Watermark) else record.start if isinstance(record, FeedOpened) else 0
