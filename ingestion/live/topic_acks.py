"""What the live Producer answers the Coordinator, in the rows of dynamic topics.

Every answer is one conditional update that is safe to repeat: a row whose state moved on is left alone.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

import structlog
from django.db.models.functions import Now

from actor_runtime.loop.session import ActorSession
from datastore.models import DynamicTopic
from ingestion.live.publish_buffer import PublishBuffer
from ingestion.live.subscriptions import State, TopicRow

log = structlog.get_logger(__name__)


def answer(rows: Sequence[TopicRow], outbox: PublishBuffer, held: Container[str], session: ActorSession) -> None:
    """Write which topics were given up, which are published to, and which routes have ended. Raises Fenced.

    rows: as they were read just now; held: the topics that have a route.
    """
    for row in rows:
        if row.is_routed and (reason := outbox.given_up.get(row.name)):
            _write(row, session, DynamicTopic.ROUTED, route_error=reason)
        elif row.state == State.NOTIFYING and not row.routed and row.name in outbox.opened:
            _write(row, session, [State.NOTIFYING], routed_at=Now(), producer=session.name)
        elif row.state == State.RETIRING and not row.ended and row.name not in held and not outbox.waits(row.name):
            _write(row, session, [State.RETIRING], route_ended_at=Now())
    outbox.given_up.clear()
    outbox.opened.intersection_update(row.name for row in rows)


def _write(row: TopicRow, session: ActorSession, states: Sequence[str], **answers: Any) -> None:
    session.beat()  # where another process took over, the topic is its own to answer for
    first = next(iter(answers))
    if DynamicTopic.objects.filter(pk=row.id, state__in=states, **{first: None}).update(**answers):
        told = {"reason": answers[first]} if first == "route_error" else {}
        log.info("topic answered for", topic=row.name, market=row.symbol, answer=first, **told)
