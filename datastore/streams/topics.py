"""The topics that are created at run time: their rows, from the first request to the deletion.

Only the Coordinator changes a topic's state; the actors that it notifies write their acknowledgements into the row.
Every change here is conditional on the state before it, so a repeated or late call changes nothing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, DurationField, ExpressionWrapper, F

from actor_runtime.redaction import without_secrets
from actor_runtime.steady_time import SteadyNow
from datastore.db.news import Subject, tell
from datastore.db.queries import execute, fetch_all, fetch_value
from datastore.db.sql_files import statement
from datastore.models import DynamicTopic, Market, Stream
from datastore.reference.markets import feed_markets, forget_gaps
from streaming.topics import checked_name

CREATE_WITHIN = timedelta(seconds=10)
NOTIFY_WITHIN = timedelta(seconds=15)
# The Coordinator does not wait longer for an actor to end its part of a retiring topic.
RETIRE_WITHIN = timedelta(seconds=30)
# After the first failed try, after the second …; together longer than a broker takes to start.
RETRY_DELAYS = (timedelta(seconds=5), timedelta(seconds=20))
MAX_DELETED_PER_TURN = 10  # topics deleted in one turn
NEXT_NUMBER = "select nextval(pg_get_serial_sequence('dynamic_topic', 'id'))"

State = DynamicTopic.State


@dataclass(frozen=True, slots=True)
class PendingWork:
    """What there is to do; the numbers are ids of topics, `due` of a stream."""

    in_progress: int | None  # being created, or its actors being notified
    due: int | None  # the oldest stream whose market has no alive topic
    waiting: bool  # some streams wait for a topic that exists
    detached: bool  # some streams are live on a topic that is not
    alive: bool  # there is a stream or a topic that has not ended, so that something may become due by itself
    expired: bool  # some streams' leases ran out
    broken: tuple[int, ...]  # live, but the Producer or a consumer can no longer use them
    unused: tuple[int, ...]  # live, but no stream needs them
    deletable: tuple[int, ...]  # at the broker


def pending_work() -> PendingWork:
    """Return what there is to do, in one query."""
    found: dict[str, list[int]] = defaultdict(list)
    for what, number in fetch_all(
        statement("streams", "to_do"), {"patience": RETIRE_WITHIN, "limit": MAX_DELETED_PER_TURN}
    ):
        found[what].append(number)
    return PendingWork(
        in_progress=min(found["in hand"], default=None),
        due=min(found["due"], default=None),
        waiting=bool(found["waiting"]),
        detached=bool(found["astray"]),
        alive=bool(found["alive"]),
        expired=bool(found["expired"]),
        broken=tuple(found["broken"]),
        unused=tuple(found["unused"]),
        deletable=tuple(found["over"]),
    )


def find(topic_id: int) -> Any:
    """Return a topic, None if its row is gone.

    It has `since_requested` and `since_notified`: how long ago it was requested and its actors were notified.
    """
    spans = {
        name: ExpressionWrapper(SteadyNow() - F(since), output_field=DurationField())
        for name, since in (("since_requested", "requested_at"), ("since_notified", "notified_at"))
    }
    return DynamicTopic.objects.filter(pk=topic_id).annotate(**spans).first()


def topic_name(market: Market, number: int) -> str:
    """Return the name of a market's topic; characters that no broker allows become `-`, the number makes it unique."""
    text = re.sub("[^A-Za-z0-9-]", "-", f"dyn-{market.exchange}-{market.base}-{market.quote}")
    return checked_name(f"{text}-g{number}")


def create_for(stream_id: int) -> DynamicTopic | None:
    """Create a topic's row for a requested stream and attach all streams of its market; None if none is requested.

    Its number is the row's id, so no name is used twice: under an old name a broker may still hold records.
    """
    stream = Stream.objects.filter(pk=stream_id, state=Stream.State.REQUESTED).select_related("market").first()
    if stream is None:
        return None
    number = fetch_value(NEXT_NUMBER)
    name = topic_name(stream.market, number)
    topic = DynamicTopic.objects.create(pk=number, name=name, market=stream.market, requested_at=SteadyNow())
    attach()
    return topic


def attach() -> None:
    """Attach every waiting stream to the alive topic of its market; if that is live, so is the stream."""
    execute(statement("streams", "attach"))


def recall() -> None:
    """Return streams that are live on a topic that no longer is to the state requested."""
    execute(statement("streams", "recall"))


def notify(topic: DynamicTopic) -> None:
    """Note that the Producer and the consumers are notified of a topic that exists."""
    creating = DynamicTopic.objects.filter(pk=topic.pk, state=State.CREATING)
    with transaction.atomic():
        creating.update(state=State.NOTIFYING, notified_at=SteadyNow())
        tell(Subject.ROUTES)


def go_live(topic: DynamicTopic) -> None:
    """Note that a topic is published to and read, so it and its streams are live."""
    DynamicTopic.objects.filter(pk=topic.pk, state=State.NOTIFYING).update(state=State.LIVE, live_at=SteadyNow())
    attach()


def retire(topic_id: int) -> bool:
    """Retire a live topic that no stream needs; return False if one needs it again."""
    with transaction.atomic():
        market = _locked_market(topic_id)
        needed = Stream.objects.filter(market=market, state__in=Stream.ALIVE).exists()
        return market is not None and not needed and _end(topic_id, market, None)


def fail(topic_id: int, error: str, *, counts: bool = True) -> bool:
    """Give up an alive topic: it retires, and its streams are tried with another, or fail after their last try.

    counts: whether this uses up a try. Return False if the topic is no longer alive.
    """
    error = without_secrets(error)
    with transaction.atomic():
        market = _locked_market(topic_id)
        if market is None or not _end(topic_id, market, error):
            return False
        streams = Stream.objects.filter(topic=topic_id, state__in=Stream.ALIVE)
        for stream in streams.select_for_update():
            tries = stream.attempts + counts
            values: dict[str, Any]
            if tries >= Stream.MAX_ATTEMPTS:
                values = {"state": Stream.State.FAILED, "next_try": None, "ended_at": SteadyNow()}
            else:
                next_try = SteadyNow() + RETRY_DELAYS[max(tries - 1, 0)]
                values = {"state": Stream.State.REQUESTED, "next_try": next_try, "live_at": None}
            Stream.objects.filter(pk=stream.pk).update(attempts=tries, error=error, **values)
        return True


def note_deleted(topic_id: int) -> None:
    """Note that the topic no longer exists at the broker."""
    DynamicTopic.objects.filter(pk=topic_id, state=State.RETIRING).update(state=State.RETIRED, retired_at=SteadyNow())


def delete_old(before: datetime) -> int:
    """Delete the topics that were retired before this time; return how many."""
    return DynamicTopic.objects.filter(state=State.RETIRED, retired_at__lt=before).delete()[0]


def count_by_state() -> dict[str, int]:
    """Return how many topics are in each state but retired."""
    found = DynamicTopic.objects.exclude(state=State.RETIRED).order_by().values_list("state").annotate(Count("pk"))
    return {str(state): 0 for state in State if state != State.RETIRED} | dict(found)


def _locked_market(topic_id: int) -> Market | None:
    """Lock the topic's market, None if the topic is gone. The gap scan checks for a feed under the same lock."""
    held = Market.objects.select_for_update(no_key=True)
    return held.filter(pk__in=DynamicTopic.objects.filter(pk=topic_id).values("market")).first()


def _end(topic_id: int, market: Market, error: str | None) -> bool:
    alive = DynamicTopic.objects.filter(pk=topic_id, state__in=DynamicTopic.ALIVE)
    if not alive.update(state=State.RETIRING, retiring_at=SteadyNow(), error=error):
        return False
    if not feed_markets().filter(pk=market.pk).exists():
        forget_gaps(market)
    return True
