"""A Coordinator with its loop, and the actors that it tells, played by the test: they write into the topic's row."""

from __future__ import annotations

import json
from datetime import timedelta
from threading import Event
from typing import Any

from django.conf import settings
from django.db.models.functions import Now
from django_redis import get_redis_connection

from actor_runtime.loop.actor_loop import ActorLoop
from actor_runtime.loop.session import ActorSession
from actor_runtime.models import TransitionLog
from actor_runtime.ownership.claims import add_row, claim
from coordination.coordinator_actor import CoordinatorWork
from coordination.models import Coordinator
from datastore.models import DynamicTopic, Market, Stream
from datastore.reference.markets import ensure_markets, unfollow
from datastore.streams import lifecycle
from streaming.broker_factory import connect
from tests.support.actor_runtime.work import Hands

BTC, ETH = "coinbase:BTC-USD", "coinbase:ETH-USD"
ACTIVE, PROCESSING = Coordinator.State.ACTIVE, Coordinator.State.PROCESSING_CREATE_TOPIC
NOTIFYING, ERROR = Coordinator.State.NOTIFYING_ACTORS, Coordinator.State.ERROR
URL = "memory://topics"


def stream(symbol: str = BTC, timeframe: str = "1m") -> Stream:
    """Ask for a stream of a market that is not followed."""
    (market,) = ensure_markets([symbol])
    unfollow(market)
    return lifecycle.create(Market.objects.get(pk=market.pk), timeframe, by="key a")[0]


def state_of(made: Stream) -> str:
    return str(Stream.objects.get(pk=made.pk).state)


def in_hand() -> DynamicTopic:
    return DynamicTopic.objects.get(state__in=DynamicTopic.BEING_MADE)


def newest() -> DynamicTopic:
    return DynamicTopic.objects.latest("pk")


class Coordinating:
    """One Coordinator process; its clock moves only when asked, the database's is real."""

    def __init__(self, me: str = "here:1:1") -> None:
        self.hands = Hands()
        actor = claim(Coordinator, "coordinator", me) or add_row(Coordinator, "coordinator", me)
        assert actor is not None
        self.work = CoordinatorWork(self.hands.clock)
        self.loop = ActorLoop(self.work, ActorSession(actor, Event()), self.hands.clock)

    @property
    def state(self) -> str:
        """The state as it is stored."""
        return str(Coordinator.objects.get().state)

    def steps(self, count: int = 1, later: float = 0.0) -> str:
        """Let time pass, take some steps, and return the state that is stored then."""
        self.hands.seconds += later
        for _ in range(count):
            self.loop.step()
        return self.state

    def reach(self, state: str) -> DynamicTopic:
        """Let the others answer until the Coordinator is in a state with a topic in hand."""
        assert self.steps() == PROCESSING
        if state == NOTIFYING:
            create()
            assert self.steps() == NOTIFYING
        return in_hand()

    def bring_live(self) -> DynamicTopic:
        """Walk the chart to its good end."""
        topic = self.reach(NOTIFYING)
        acknowledge()
        assert self.steps() == ACTIVE
        return DynamicTopic.objects.get(pk=topic.pk, state="live")


def admin() -> Any:
    return connect(URL, 1000).admin()


def create() -> None:
    """A Producer makes the topic in hand."""
    admin().create_topic(in_hand().name)
    DynamicTopic.objects.filter(state="creating").update(created_at=Now(), creator="producer-topic-1")


def acknowledge(routed: bool = True, subscribed: bool = True) -> None:
    """The live Producer publishes to the topic in hand, a consumer reads it."""
    topics = DynamicTopic.objects.filter(state="notifying")
    if routed:
        topics.update(routed_at=Now(), producer="producer-live-1")
    if subscribed:
        topics.update(subscribed_at=Now(), consumer="here:9:9")


def end_parts() -> None:
    """Producer and consumer end their parts of all that retires."""
    DynamicTopic.objects.filter(state="retiring").update(route_ended_at=Now(), drained_at=Now())


def long_ago(*columns: str) -> None:
    """Let more time have passed since these times than any actor is waited for."""
    DynamicTopic.objects.exclude(state="retired").update(**{name: Now() - timedelta(seconds=99) for name in columns})


def due_now() -> None:
    """Let no stream wait any longer for its next try."""
    Stream.objects.filter(state="requested").update(next_try=None)


def told(task: str) -> list[Any]:
    """Return the arguments of what the worker was notified, the oldest first."""
    raw = get_redis_connection("default").lrange(settings.CELERY_TASK_DEFAULT_QUEUE, 0, -1)
    heads = [json.loads(message)["headers"] for message in reversed(raw)]
    return [json.loads(head["argsrepr"]) for head in heads if head["task"] == task]


def events() -> list[str]:
    """Return the Coordinator's transitions; equal ones of a minute stand together."""
    found = TransitionLog.objects.filter(kind="coordinator").order_by("id")
    return [event for event, count in found.values_list("event", "count") for _ in range(count)]
