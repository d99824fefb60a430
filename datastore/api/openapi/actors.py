"""The answers about the platform itself: its version, actors, and records that could not be stored."""

from __future__ import annotations

from actor_runtime.models import actor_models
from datastore.api.openapi.basics import COUNT, NEXT, TEXT, TIME, Schema, choice, list_of, named, or_null, record
from streaming.refusals import RefusalCode


def kinds() -> list[str]:
    """Return the kinds of actors."""
    return [str(model._meta.model_name) for model in actor_models()]


def states() -> list[str]:
    """Return the states of all charts, each once."""
    return list(dict.fromkeys(state for model in actor_models() for state in model.State.values))


def schemas() -> dict[str, Schema]:
    """Return the schemas; the models of actors are known only when all apps are loaded."""
    actor: dict[str, Schema] = {
        "kind": choice(kinds()),
        "name": TEXT,
        "state": choice(states()),
        "label": TEXT,
        "owner": or_null({**TEXT, "description": "host:pid:start of the process that has it."}),
        "epoch": {**COUNT, "description": "Rises with every new owner."},
        "heartbeat": or_null(TIME),
        "waiting_for": or_null(TEXT),
        "last_error": or_null(TEXT),
        "last_error_at": or_null(TIME),
        "recovered_at": or_null({**TIME, "description": "The first success after the last error; null: none yet."}),
        "error_count": {**COUNT, "description": "Errors since the last success."},
        "reset_at": or_null({**TIME, "description": "The next automatic reset."}),
        "retired_at": or_null(TIME),
    }
    return {
        "Actor": record(actor),
        "Actors": record({"actors": list_of(named("Actor"))}),
        "OneActor": record({**actor, "log": list_of(named("Transition"))}),
        "Transition": record(TRANSITION),
        "LogLine": record({"kind": choice(kinds()), "name": TEXT, **TRANSITION}),
        "ActorLog": record({"log": list_of(named("LogLine")), "next": NEXT}),
        "DeadLetter": DEAD_LETTER,
        "DeadLetters": record({"dead_letters": list_of(named("DeadLetter")), "next": NEXT}),
        "Root": ROOT,
    }


ADDRESS: Schema = {**TEXT, "description": "An address on this host."}
ROOT = record(
    {
        "name": TEXT,
        "version": {**TEXT, "description": "Of the program; the address names that of the API."},
        "links": record({"docs": ADDRESS, "schema": ADDRESS, "markets": ADDRESS}),
    }
)
TRANSITION: dict[str, Schema] = {
    "event": TEXT,
    "from": TEXT,
    "to": TEXT,
    "count": {"type": "integer", "minimum": 1, "description": "Equal transitions between first and last."},
    "first": TIME,
    "last": TIME,
    "reason": or_null(TEXT),
    "by": or_null(TEXT),
}
DEAD_LETTER = record(
    {
        "id": COUNT,
        "topic": TEXT,
        "market": or_null({**TEXT, "description": "As the record names it; it may be unknown."}),
        "code": {**choice([code.value for code in RefusalCode]), "description": "The kind of reason."},
        "reason": TEXT,
        "position": or_null({**TEXT, "description": "The broker's name of its place."}),
        "created": TIME,
        "bytes": {**COUNT, "description": "How many there are; a list shows the first 10,000."},
        "text": {**TEXT, "description": "The bytes as UTF-8, others escaped."},
        "base64": {"type": "string", "contentEncoding": "base64"},
        "obstacle": or_null({**TEXT, "description": "Why it cannot be published again; null where it can."}),
        "replayed": or_null(TIME),
        "replayed_by": or_null(TEXT),
    }
)
