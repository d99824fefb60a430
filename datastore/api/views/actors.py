"""The actors: states, logs and resets. They are found generically: a new chart needs no change here."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, NamedTuple

import msgspec
from django.http import HttpResponse
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.views import APIView

from actor_runtime.errors import NotInError
from actor_runtime.log_reading import LogFilter, log_lines
from actor_runtime.manual_reset import reset
from actor_runtime.models import Actor, TransitionLog, actor_models
from datastore.api.auth.permissions import requester
from datastore.api.errors import Conflict, NotFound, shown
from datastore.api.params.query_params import LogQuestion, log_question, no_question, query_of
from datastore.api.params.times import LATEST, to_ms
from datastore.api.responses.compression import CompressedView
from datastore.api.responses.json_response import json_answer, pack
from datastore.api.responses.paging import page_address, position_of
from datastore.timeframes.intervals import micros_of, moment

LOG_ROWS = 100
MAX_MICROS = micros_of(LATEST)


class ActorList(APIView):
    """GET actors: the actors of every kind that are not retired."""

    def get(self, request: Request) -> HttpResponse:
        """Answer the states of all actors, kind by kind, by name."""
        no_question(query_of(request))
        # Retired ones are many: every dynamic topic and every question that had to fetch has left one.
        shown = [
            actor_json(kind, actor)
            for kind, model in kinds().items()
            for actor in model._default_manager.filter(retired_at=None).order_by("name")
        ]
        return json_answer({"actors": shown})


class ActorDetail(APIView):
    """GET actors/{kind}/{name}: one actor and its newest transitions."""

    def get(self, request: Request, kind: str, name: str) -> HttpResponse:
        """Answer the actor's state and its log, newest first."""
        no_question(query_of(request))
        actor = find(kind, name)
        log = log_lines(LogFilter(kind, name))[:LOG_ROWS]
        return json_answer({**actor_json(kind, actor), "log": [log_json(row) for row in log]})


class LogPosition(NamedTuple):
    """A position in the log: after the line with this beginning (microseconds since 1970) and id."""

    at: Annotated[int, msgspec.Meta(ge=0, le=MAX_MICROS)]
    id: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class ActorLog(CompressedView):
    """GET actors/log: the transitions of all actors."""

    def get(self, request: Request) -> HttpResponse:
        """Answer one page of the log, the newest first."""
        asked = log_question(query_of(request))
        found = log_page(asked)
        lines, more = found[: asked.limit], None
        if len(found) > asked.limit:
            more = page_address(request.path, asked.limit, cursor_after(lines[-1]), **filter_params(asked.wanted))
        shown = [{"kind": row.kind, "name": row.name, **log_json(row)} for row in lines]
        return json_answer({"log": shown, "next": more})


def log_page(asked: LogQuestion) -> list[TransitionLog]:
    """Return a page of the log and, if there is one, the next line. Raises BadParameters."""
    after: tuple[datetime, int] | None = None
    if asked.cursor is not None:
        position = position_of(asked.cursor, LogPosition)
        after = moment(position.at), position.id
    return list(log_lines(asked.wanted, after)[: asked.limit + 1])


def cursor_after(row: TransitionLog) -> str:
    """Return the cursor of the page that begins behind this line."""
    return pack(micros_of(row.first_at), row.pk)


def filter_params(wanted: LogFilter) -> dict[str, Any]:
    """Return the filter as it is written in a query."""
    times = {"from": to_ms(wanted.start), "to": to_ms(wanted.stop)}
    return {"kind": wanted.kind, "name": wanted.name, "event": wanted.event, **times}


class ActorReset(APIView):
    """POST actors/{kind}/{name}/reset: the user of a session also needs the permission to reset this kind."""

    def post(self, request: Request, kind: str, name: str) -> HttpResponse:
        """Fire RESET on an actor in Error and answer its new state. 409 if it is not in Error."""
        model = type(find(kind, name))
        permission = f"{model._meta.app_label}.reset_{model._meta.model_name}"
        if request.user is not None and not request.user.has_perm(permission):
            raise PermissionDenied(f"You are not permitted to reset {kind} actors.")
        try:
            reset(model, name, by=f"{requester(request)} (API)")
        except NotInError as exc:
            raise Conflict(str(exc)) from None
        return json_answer(actor_json(kind, find(kind, name)))


def kinds() -> dict[str, type[Actor]]:
    """Return the actors' models by kind, which is the model's name in lower case."""
    return {str(model._meta.model_name): model for model in actor_models()}


def find(kind: str, name: str) -> Actor:
    """Return the actor; raise NotFound, with all kinds if the kind is unknown."""
    model = kinds().get(kind)
    if model is None:
        raise NotFound(f"There is no kind of actor {shown(kind)}. Kinds: {', '.join(kinds())}.")
    actor = model._default_manager.filter(name=name).first() if name.isprintable() else None
    if actor is None:
        raise NotFound(f"There is no {kind} {shown(name)}. GET /api/v1/actors lists them all.")
    return actor


def actor_json(kind: str, actor: Actor) -> dict[str, Any]:
    """Return the row as the API shows it; times in milliseconds."""
    return {
        "kind": kind,
        "name": actor.name,
        "state": actor.state,
        "label": actor.get_state_display(),  # type: ignore[attr-defined]
        "owner": actor.owner or None,
        "epoch": actor.epoch,
        "heartbeat": to_ms(actor.heartbeat_at),
        "waiting_for": actor.waiting_for,
        "last_error": actor.last_error,
        "last_error_at": to_ms(actor.last_error_at),
        "recovered_at": to_ms(actor.recovered_at),
        "error_count": actor.error_count,
        "reset_at": to_ms(actor.reset_at),
        "retired_at": to_ms(actor.retired_at),
    }


def log_json(row: TransitionLog) -> dict[str, Any]:
    """Return one line of the log: `count` equal transitions between first and last."""
    return {
        "event": row.event,
        "from": row.source,
        "to": row.target,
        "count": row.count,
        "first": to_ms(row.first_at),
        "last": to_ms(row.last_at),
        "reason": row.reason or None,
        "by": row.by or None,
    }
