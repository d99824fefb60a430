"""What the live Producer answers the Coordinator, in the rows of dynamic topics.

Every answer is one conditional update that is safe to repeat: a row whose state has changed is left alone.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

import structlog

from actor_runtime.loop.session import ActorSession
from actor_runtime.steady_time import SteadyNow
from datastore.models import DynamicTopic
from ingestion.live.publish_buffer import PublishBuffer
from ingestion.live.subscriptions import State, TopicRow

log = structlog.get_logger(__name__)


def write_topic_acks(
    rows: Sequence[TopicRow], buffer: PublishBuffer, routed: Container[str], session: ActorSession
) -> None:
    """Write which topics were given up, which are published to, and which routes have ended; raise Fenced if lost.

    rows: those that we carry, as they were read just now; routed: the topics that have a route.
    """
    ended = buffer.ended
    for row in rows:
        if row.is_routed and (reason := ended.get(row.name)):
            _write(row, session, DynamicTopic.ROUTED, route_error=reason)
        elif row.state == State.NOTIFYING and not row.routed and row.name in buffer.opened:
            _write(row, session, [State.NOTIFYING], routed_at=SteadyNow(), producer=session.name)
        elif row.is_routed and row.producer != session.name and row.name in buffer.opened:  # another carried it before
            _write(row, session, DynamicTopic.ROUTED, producer=session.name)
        elif (
            row.state == State.RETIRING and not row.ended and row.name not in routed and not buffer.has_unsent(row.name)
        ):
            _write(row, session, [State.RETIRING], route_ended_at=SteadyNow())
    for topic in ended:
        del buffer.given_up[topic]
    buffer.opened.intersection_update(row.name for row in rows)


def _write(row: TopicRow, session: ActorSession, states: Sequence[str], **answers: Any) -> None:
    session.beat()  # if another process took over, the topic is its own to answer for
    first = next(iter(answers))
    before = {first: row.producer if first == "producer" else None}
    if DynamicTopic.objects.filter(pk=row.id, state__in=states, **before).update(**answers):
        details = {"reason": answers[first]} if first == "route_error" else {}
        log.info("topic answered for", topic=row.name, market=row.symbol, answer=first, **details)
