"""What the live Producer answers the Coordinator, in the rows of dynamic topics.

Every answer is one conditional update that is safe to repeat: a row whose state moved on is left alone.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

import structlog
from django.db.models.functions import Now

from datastore.models import DynamicTopic
from ingestion.outbox import Outbox
from ingestion.subscriptions import State, TopicRow

log = structlog.get_logger(__name__)


def answer(rows: Sequence[TopicRow], outbox: Outbox, held: Container[str], producer: str) -> None:
    """Write which topics were given up, which are published to, and which routes have ended.

    rows: as they were read just now; held: the topics that have a route.
    """
    for row in rows:
        if row.is_routed and (reason := outbox.given_up.get(row.name)):
            _refuse(row, reason)
        elif row.state == State.NOTIFYING and not row.routed and row.name in outbox.opened:
            _routed(row, producer)
        elif row.state == State.RETIRING and not row.ended and row.name not in held and not outbox.waits(row.name):
            _ended(row)
    outbox.given_up.clear()
    outbox.opened.intersection_update(row.name for row in rows)


def _refuse(row: TopicRow, reason: str) -> None:
    rows = DynamicTopic.objects.filter(pk=row.id, state__in=DynamicTopic.ROUTED, route_error=None)
    if rows.update(route_error=reason):
        log.warning("route given up", topic=row.name, market=row.symbol, reason=reason)


def _routed(row: TopicRow, producer: str) -> None:
    rows = DynamicTopic.objects.filter(pk=row.id, state=State.NOTIFYING, routed_at=None)
    if rows.update(routed_at=Now(), producer=producer):
        log.info("market routed", topic=row.name, market=row.symbol)


def _ended(row: TopicRow) -> None:
    rows = DynamicTopic.objects.filter(pk=row.id, state=State.RETIRING, route_ended_at=None)
    if rows.update(route_ended_at=Now()):
        log.info("route ended", topic=row.name, market=row.symbol)
