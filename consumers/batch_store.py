"""The records of one poll on their way through the charts of many topics: together, and where that fails one by one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from django.db import transaction

from actor_runtime.errors import Fenced
from actor_runtime.loop.actor_group import ActorGroup, OwnedActor
from actor_runtime.reset_policy import DATABASE_AWAY
from consumers.dead_letters import quarantine
from consumers.metrics import BatchMetrics
from consumers.models import DynamicTopicConsumer
from consumers.topic_handlers import oldest_receipt, read_live
from datastore.ingest.live_write import MarketChange, store_live
from streaming.broker import Record
from streaming.records import Micros

State = DynamicTopicConsumer.State


class Part(NamedTuple):
    """What a poll brought of one topic."""

    member: OwnedActor
    records: list[Record]


class Stored(NamedTuple):
    """What is in the database now; these members are in Updating Redis."""

    parts: list[Part]
    changes: list[MarketChange]
    received: Micros | None  # when the provider's oldest trade among them arrived


NOTHING = Stored([], [], None)


def parts_of(crew: ActorGroup, records: Iterable[Record]) -> list[Part]:
    """Return the records by topic, in their order; those of topics that are not ours any more are left out."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.topic, []).append(record)
    return [Part(member, found[member.name]) for member in crew.named(found)]


def store_batches(crew: ActorGroup, meter: BatchMetrics, parts: Sequence[Part]) -> Stored:
    """Take the parts from Consuming to Updating Redis by one transaction; return those that got there.

    A topic that another process took over is left to it: what of it was in the transaction is taken back, and the
    others are written again. Where one can not be written, each is by itself, and only that one goes to Error.
    """
    if not parts:
        return NOTHING
    try:
        return _store(crew, meter, parts)
    except Fenced:
        crew.undo(part.member for part in parts)
        return store_batches(crew, meter, [part for part in parts if part.member.name in crew])
    except DATABASE_AWAY:
        raise
    except Exception as exc:
        crew.undo(part.member for part in parts)
        if len(parts) > 1:
            return _joined(store_batches(crew, meter, [part]) for part in parts)
        crew.fail([parts[0].member], exc)
        return NOTHING


def _store(crew: ActorGroup, meter: BatchMetrics, parts: Sequence[Part]) -> Stored:
    members = [part.member for part in parts]
    for member in members:
        if member.state == State.CONSUMING:
            member.actor.message_received()
    with meter.part("decode"):
        batch = read_live([record for part in parts for record in part.records])
    for member in members:
        if member.state == State.PROCESSING_MESSAGE:
            member.actor.process_success()
    if crew.save([member for member in members if member.actor.journal.pending]):
        raise Fenced
    with meter.part("database"), transaction.atomic():
        result = store_live(batch.ready)
        quarantine(batch, result.refused)
        for member in members:
            member.actor.write_success()
        # The rows of the fenced must not be ours: their new owner writes the same ones, and commits behind them.
        if crew.save(members):
            raise Fenced
    return Stored(list(parts), result.changes, oldest_receipt(batch.ready))


def _joined(found: Iterable[Stored]) -> Stored:
    every = list(found)
    received = [one.received for one in every if one.received is not None]
    return Stored(
        [part for one in every for part in one.parts],
        [change for one in every for change in one.changes],
        min(received, default=None),
    )
