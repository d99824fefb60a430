"""The log of transitions, read page by page: the newest first, of all actors or of some."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet

from actor_runtime.models import TransitionLog, actor_models

TAKEOVER = "TAKEOVER"  # a change of owner is logged beside the transitions
RUN_LENGTH = timedelta(minutes=1)  # of the rows that count equal transitions


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which lines of the log are meant; None: all. Times are half open, and a line counts with each of its minute."""

    kind: str | None = None
    name: str | None = None
    event: str | None = None
    start: datetime | None = None
    stop: datetime | None = None


def log_lines(wanted: LogFilter, after: tuple[datetime, int] | None = None) -> QuerySet[TransitionLog]:
    """Return the wanted lines, the newest first, from behind the line with this (first_at, id)."""
    # Equalities that are not asked for are left out, so that an index serves each of them.
    equal = {"kind": wanted.kind, "name": wanted.name, "event": wanted.event}
    lines = TransitionLog.objects.filter(**{column: value for column, value in equal.items() if value is not None})
    if wanted.start is not None:
        lines = lines.filter(first_at__gt=wanted.start - RUN_LENGTH, last_at__gte=wanted.start)
    if wanted.stop is not None:
        lines = lines.filter(first_at__lt=wanted.stop)
    if after is not None:
        at, pk = after
        lines = lines.filter(first_at__lte=at).filter(Q(first_at__lt=at) | Q(pk__lt=pk))
    return lines.order_by("-first_at", "-id")


def event_names() -> list[str]:
    """Return every event that the log can name, each once, in the order of the charts."""
    found = [arrow.name.upper() for model in actor_models() for arrow in model.state.field.get_all_transitions(model)]
    return [*dict.fromkeys(found), TAKEOVER]


def kind_names() -> list[str]:
    """Return the kinds of actors: the names of their models in lower case."""
    return [str(model._meta.model_name) for model in actor_models()]
