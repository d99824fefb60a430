"""The records of one poll, taken through the charts of many topics: together, and if that fails one topic at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from django.db import transaction

from actor_runtime.errors import Fenced
from actor_runtime.loop.actor_group import ActorGroup, OwnedActor
from actor_runtime.reset_policy import DATABASE_AWAY
from consumers.dead_letters import quarantine
from consumers.metrics import BatchMetrics, Receipts
from consumers.models import DynamicTopicConsumer
from consumers.topic_handlers import read_live, receipts_of
from datastore.ingest.live_write import MarketChange, store_live
from streaming.broker import Record

State = DynamicTopicConsumer.State


class TopicBatch(NamedTuple):
    """What a poll brought of one topic."""

    member: OwnedActor
    records: list[Record]


class StoredBatches(NamedTuple):
    """What is in the database now; the actors of these batches are in Updating Redis."""

    batches: list[TopicBatch]
    changes: list[MarketChange]
    received: Receipts | None  # when the trades among them arrived from the provider


NONE_STORED = StoredBatches([], [], None)


def batches_by_topic(actors: ActorGroup, records: Iterable[Record]) -> list[TopicBatch]:
    """Return the records by topic, in their order, without those of topics that this process no longer owns."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.topic, []).append(record)
    return [TopicBatch(member, found[member.name]) for member in actors.members_of(found)]


def store_batches(actors: ActorGroup, metrics: BatchMetrics, batches: Sequence[TopicBatch]) -> StoredBatches:
    """Take the batches from Consuming to Updating Redis in one transaction; return those that got there.

    If another process took a topic over, the transaction is rolled back and the other batches are written again.
    If the write fails, each batch is written by itself, and only an actor whose own batch fails goes to Error.
    """
    if not batches:
        return NONE_STORED
    try:
        return _store(actors, metrics, batches)
    except Fenced:
        actors.undo(batch.member for batch in batches)
        return store_batches(actors, metrics, [batch for batch in batches if batch.member.name in actors])
    except DATABASE_AWAY:
        raise
    except Exception as exc:
        actors.undo(batch.member for batch in batches)
        if len(batches) == 1:
            actors.fail([batches[0].member], exc)
            return NONE_STORED

    every = [store_batches(actors, metrics, [batch]) for batch in batches]
    return StoredBatches(
        [batch for one in every for batch in one.batches],
        [change for one in every for change in one.changes],
        Receipts.joined([one.received for one in every if one.received is not None]),
    )


def _store(actors: ActorGroup, metrics: BatchMetrics, batches: Sequence[TopicBatch]) -> StoredBatches:
    members = [batch.member for batch in batches]
    for member in members:
        if member.state == State.CONSUMING:
            member.actor.message_received()
    with metrics.time_step("decode"):
        decoded = read_live([record for batch in batches for record in batch.records])
    for member in members:
        if member.state == State.PROCESSING_MESSAGE:
            member.actor.process_success()
    if actors.save([member for member in members if member.actor.journal.pending]):
        raise Fenced

    with metrics.time_step("database"), transaction.atomic():
        result = store_live(decoded.ready)
        quarantine(decoded, result.refused)
        for member in members:
            member.actor.write_success()
        # The rows of fenced actors must not come from us: their new owner writes the same rows and then commits.
        if actors.save(members):
            raise Fenced
    return StoredBatches(list(batches), result.changes, receipts_of(decoded.ready))
