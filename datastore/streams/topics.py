"""The topics that are made at run time: their rows, from the first request to the deletion.

The Coordinator alone moves a topic's state; the actors that it tells write their acknowledgements into the row. Every
change here is conditional on the state before, so that repeating it, or being late with it, changes nothing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, DurationField, ExpressionWrapper, F
from django.db.models.functions import Now

from datastore.db.queries import execute, fetch_all, fetch_value
from datastore.db.sql_files import statement
from datastore.models import DynamicTopic, Market, Stream
from datastore.reference.markets import feed_markets, forget_gaps
from streaming.topics import legal

CREATE_WITHIN = timedelta(seconds=10)
NOTIFY_WITHIN = timedelta(seconds=15)
# An actor that has not ended its part of a retiring topic by then is not waited for.
RETIRE_WITHIN = timedelta(seconds=30)
# Until the next try after the first failed one, the second …: together longer than a broker takes to start.
NEXT_TRY = (timedelta(seconds=5), timedelta(seconds=20))
AT_ONCE = 10  # topics deleted in one turn
NEXT_NUMBER = "select nextval(pg_get_serial_sequence('dynamic_topic', 'id'))"

State = DynamicTopic.State


@dataclass(frozen=True, slots=True)
class ToDo:
    """What a look at the rows found, by id: topics but for `due`, a stream."""

    in_hand: int | None  # being created, or its actors being told
    due: int | None  # the oldest stream whose market has no alive topic
    waiting: bool  # streams wait for a topic that is there
    astray: bool  # streams are live on a topic that is not
    expired: bool  # streams whose lease ran out
    broken: tuple[int, ...]  # live, and the Producer or a consumer cannot use it any more
    unused: tuple[int, ...]  # live, and no stream needs it
    over: tuple[int, ...]  # may be deleted at the broker


def to_do() -> ToDo:
    """Return what there is to do, in one statement."""
    found: dict[str, list[int]] = defaultdict(list)
    for what, number in fetch_all(statement("streams", "to_do"), {"patience": RETIRE_WITHIN, "limit": AT_ONCE}):
        found[what].append(number)
    return ToDo(
        in_hand=min(found["in hand"], default=None),
        due=min(found["due"], default=None),
        waiting=bool(found["waiting"]),
        astray=bool(found["astray"]),
        expired=bool(found["expired"]),
        broken=tuple(found["broken"]),
        unused=tuple(found["unused"]),
        over=tuple(found["over"]),
    )


def find(topic_id: int) -> Any:
    """Return a topic with `asked_for` and `told_for`, the time since it was requested and since its actors were told.

    None where its row is gone.
    """
    spans = {
        name: ExpressionWrapper(Now() - F(since), output_field=DurationField())
        for name, since in (("asked_for", "requested_at"), ("told_for", "notified_at"))
    }
    return DynamicTopic.objects.filter(pk=topic_id).annotate(**spans).first()


def topic_name(market: Market, number: int) -> str:
    """Return the name of a market's topic; what no broker takes in a name becomes `-`."""
    text = re.sub("[^A-Za-z0-9-]", "-", f"dyn-{market.exchange}-{market.base}-{market.quote}")
    return legal(f"{text}-g{number}")


def make(stream_id: int) -> DynamicTopic | None:
    """Make the topic's row for a requested stream and give it to all of its market; None where nobody waits any more.

    Its number is the row's own and so of no other topic: a name that was used before may hide records on a broker.
    """
    stream = Stream.objects.filter(pk=stream_id, state=Stream.State.REQUESTED).select_related("market").first()
    if stream is None:
        return None
    number = fetch_value(NEXT_NUMBER)
    name = topic_name(stream.market, number)
    topic = DynamicTopic.objects.create(pk=number, name=name, market=stream.market, requested_at=Now())
    attach()
    return topic


def attach() -> None:
    """Give every waiting stream the alive topic of its market; where that is live, the stream is too."""
    execute(statement("streams", "attach"))


def recall() -> None:
    """Let streams be requested again that are live on a topic that is not any more."""
    execute(statement("streams", "recall"))


def notify(topic: DynamicTopic) -> None:
    """Note that Producer and consumers are told of a topic that is there."""
    DynamicTopic.objects.filter(pk=topic.pk, state=State.CREATING).update(state=State.NOTIFYING, notified_at=Now())


def go_live(topic: DynamicTopic) -> None:
    """Note that a topic is published to and read, and with it its streams live."""
    DynamicTopic.objects.filter(pk=topic.pk, state=State.NOTIFYING).update(state=State.LIVE, live_at=Now())
    attach()


def retire(topic_id: int) -> bool:
    """Let a live topic retire that no stream needs; False where one does again."""
    with transaction.atomic():
        market = _locked_market(topic_id)
        needed = Stream.objects.filter(market=market, state__in=Stream.ALIVE).exists()
        return market is not None and not needed and _end(topic_id, market, None)


def fail(topic_id: int, error: str, *, counts: bool = True) -> bool:
    """Give an alive topic up: it retires, and its streams are tried with another, or fail after their last try.

    counts: whether it was a try at all. False where somebody got there first.
    """
    with transaction.atomic():
        market = _locked_market(topic_id)
        if market is None or not _end(topic_id, market, error):
            return False
        streams = Stream.objects.filter(topic=topic_id, state__in=Stream.ALIVE)
        for stream in streams.select_for_update():
            _try_again(stream, error, stream.attempts + counts)
        return True


def note_deleted(topic_id: int) -> None:
    """Note that the topic is no more at the broker."""
    DynamicTopic.objects.filter(pk=topic_id, state=State.RETIRING).update(state=State.RETIRED, retired_at=Now())


def trim(before: datetime) -> int:
    """Delete the topics that were retired before this time; return how many."""
    return DynamicTopic.objects.filter(state=State.RETIRED, retired_at__lt=before).delete()[0]


def _locked_market(topic_id: int) -> Market | None:
    """Lock the topic's market: the gap scan sees under the same lock whether it is kept. None: the topic is gone."""
    held = Market.objects.select_for_update(no_key=True)
    return held.filter(pk__in=DynamicTopic.objects.filter(pk=topic_id).values("market")).first()


def _end(topic_id: int, market: Market, error: str | None) -> bool:
    alive = DynamicTopic.objects.filter(pk=topic_id, state__in=DynamicTopic.ALIVE)
    if not alive.update(state=State.RETIRING, retiring_at=Now(), error=error):
        return False
    if not feed_markets().filter(pk=market.pk).exists():
        forget_gaps(market)
    return True


def _try_again(stream: Stream, error: str, tries: int) -> None:
    values: dict[str, Any]
    if tries >= Stream.MAX_ATTEMPTS:
        values = {"state": Stream.State.FAILED, "next_try": None, "ended_at": Now()}
    else:
        wait = NEXT_TRY[max(tries - 1, 0)]
        values = {"state": Stream.State.REQUESTED, "next_try": Now() + wait, "live_at": None}
    Stream.objects.filter(pk=stream.pk).update(attempts=tries, error=error, **values)


def counts() -> dict[str, int]:
    """Return how many topics are in each state but the last."""
    found = DynamicTopic.objects.exclude(state=State.RETIRED).order_by().values_list("state").annotate(Count("pk"))
    return {str(state): 0 for state in State if state != State.RETIRED} | dict(found)
