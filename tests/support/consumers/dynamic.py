"""Rows, topics and records of dynamic topics in few words; the other actors' part is written by the tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Event

from django.conf import settings
from django.db.models import QuerySet
from django.db.models.functions import Now

from actor_runtime.loop.actor_group import OwnedActor
from actor_runtime.loop.pool_loop import ActorPool
from consumers.dynamic_consumer_actor import DynamicTopicsWork
from consumers.models import DynamicTopicConsumer
from datastore.models import DynamicTopic
from datastore.reference.markets import ensure_markets
from streaming.broker import Broker, Message
from streaming.broker_factory import connect
from streaming.records import LiveRecord, encode
from streaming.topics import CONSUMER_GROUP
from tests.support.actor_runtime.work import Hands
from tests.support.datastore.records import NOON, SECOND, opened, trade, watermark
from tests.support.polling import until

PATIENCE = 60.0


def symbol(number: int) -> str:
    """Return the market of the numbered topic."""
    return f"coinbase:D{number:03}-USD"


def name_of(number: int) -> str:
    """Return the topic of the numbered market."""
    return f"dyn-coinbase-D{number:03}-USD-g{number}"


def broker() -> Broker:
    """Return the configured broker."""
    return connect(settings.STREAM_URL, settings.STREAM_MAXLEN)


def make_topics(count: int, *, there: bool = True, first: int = 0) -> list[DynamicTopic]:
    """Do what Coordinator and Producer do before the actors are notified: markets, topics, rows in notifying."""
    numbers = range(first, first + count)
    markets = {market.symbol: market for market in ensure_markets([symbol(number) for number in numbers])}
    if there:
        admin = broker().admin()
        for number in numbers:
            admin.create_topic(name_of(number))
    return DynamicTopic.objects.bulk_create(
        DynamicTopic(
            name=name_of(number),
            market=markets[symbol(number)],
            state=DynamicTopic.State.NOTIFYING,
            requested_at=Now(),
            created_at=Now(),
            notified_at=Now(),
        )
        for number in numbers
    )


def records(number: int, count: int = 10, *, first: int = 1) -> list[LiveRecord]:
    """Return a feed of the numbered topic: its opening, trades every ten seconds and its claims."""
    market, feed = symbol(number), f"{name_of(number)}/one"
    found: list[LiveRecord] = [opened(first, NOON, market=market, feed=feed)]
    for index in range(count):
        ts, n = NOON + (index + 1) * 10 * SECOND, first + len(found)
        found.append(trade(n, ts, price=str(100 + index % 7), amount="0.1", market=market, feed=feed))
        found.append(watermark(n + 1, ts - 5 * SECOND, market=market, feed=feed))
    return found


def publish(number: int, found: Sequence[LiveRecord]) -> None:
    """Publish records to the numbered topic."""
    broker().publisher().publish(name_of(number), [Message(record.market, encode(record)) for record in found])


def unread(*numbers: int) -> int:
    """Return how many records of these topics are not committed."""
    subscription = broker().assign(CONSUMER_GROUP, [name_of(number) for number in numbers])
    try:
        return subscription.lag()
    finally:
        subscription.close()


def pool_of(hands: Hands | None = None, me: str = "") -> ActorPool:
    """Return a process's pool, not yet stepped."""
    if hands is None:
        return ActorPool(DynamicTopicsWork(), Event(), me=me)
    return ActorPool(DynamicTopicsWork(), Event(), hands.clock, me=me)


def step_until(done: Callable[[], object], *pools: ActorPool, seconds: float = PATIENCE) -> None:
    """Let the pools take turns until something is so."""
    until(
        lambda: list(rows().values("name", "state", "waiting_for", "last_error")),
        done,
        seconds,
        step=lambda: min(one.step() for one in pools),
    )


def rows() -> QuerySet[DynamicTopicConsumer]:
    """Return the actors' rows."""
    return DynamicTopicConsumer.objects.order_by("name")


def states(*names: str) -> set[str]:
    """Return the states in which rows are; of all where none is named."""
    found = rows().filter(name__in=names) if names else rows()
    return set(found.values_list("state", flat=True))


def all_consuming(count: int) -> Callable[[], bool]:
    """Return a question whether this many topics are being read."""
    return lambda: rows().filter(state="consuming", retired_at=None).exclude(owner="").count() == count


def member(of: ActorPool, number: int) -> OwnedActor:
    """Return the pool's member for the numbered topic."""
    found = of.actors.get(name_of(number))
    assert found is not None
    return found
