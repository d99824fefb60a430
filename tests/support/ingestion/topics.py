"""Dynamic topics of a live Producer under test."""

from __future__ import annotations

import uuid
from typing import Any

from django.utils import timezone

from datastore.db.news import Subject, tell
from datastore.models import DynamicTopic
from datastore.reference.markets import get_or_create_market
from datastore.streams.topics import topic_name
from streaming.records import decode
from tests.support.ingestion.live_bench import Bench

Topic = DynamicTopic.State


def topic_of(bench: Bench, symbol: str, state: Topic = Topic.NOTIFYING, *, made: bool = True) -> DynamicTopic:
    """Make a topic as Coordinator and creator do."""
    number = DynamicTopic.objects.count() + 1
    market = get_or_create_market(symbol)
    name = topic_name(market, number)
    if made:
        bench.broker.admin().create_topic(name)
    topic = DynamicTopic.objects.create(market=market, name=name, state=state, requested_at=timezone.now())
    tell(Subject.ROUTES)
    return topic


def told(bench: Bench, topic: DynamicTopic, kind: type = object) -> list[Any]:
    reader = bench.broker.subscribe(uuid.uuid4().hex, [topic.name])
    found = [decode(record.value) for record in reader.poll(0, 1_000_000)]
    return [record for record in found if isinstance(record, kind)]
