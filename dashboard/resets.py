"""What became of an actor that a person has reset: what is still wrong is said first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from actor_runtime.charts import label
from actor_runtime.models import ERROR, TransitionLog, with_silence
from dashboard.actors import Shown, kinds, shown

WATCHED_S = 5.0  # how long an actor must stay well before we say so
TOLD_FOR = timedelta(minutes=1)
# How the log names what a person did: datastore/api/views/actors.py, actor_runtime/admin.py, reset_actor.
BY_PERSON = r"\((API|admin|reset_actor)\)$"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one reset. level: a class of style."""

    actor: Shown
    at: datetime
    by: str
    level: str
    words: str


def recent_outcomes(kind: str | None = None, name: str | None = None) -> list[Outcome]:
    """Return what became of the resets of the last minute, the newest first, one per actor."""
    lines = TransitionLog.objects.filter(event="RESET", first_at__gt=timezone.now() - TOLD_FOR, by__regex=BY_PERSON)
    if kind is not None and name is not None:
        lines = lines.filter(kind=kind, name=name)
    resets: dict[tuple[str, str], TransitionLog] = {}
    for line in lines.order_by("-first_at", "-id"):
        resets.setdefault((line.kind, line.name), line)
    if not resets:
        return []
    oldest = min(line.first_at for line in resets.values())
    names = {name for _, name in resets}
    # A busy actor's transitions count in a line that began up to a minute before.
    later = list(
        TransitionLog.objects.filter(first_at__gt=oldest - TOLD_FOR, last_at__gte=oldest, name__in=names)
        .filter(Q(target=ERROR) | Q(minute__isnull=False))
        .order_by("first_at", "id")
    )
    rows = _rows(resets)
    return [
        _outcome(rows[key], reset, [line for line in later if (line.kind, line.name) == key])
        for key, reset in resets.items()
        if key in rows
    ]


def _rows(wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Shown]:
    """Return the actors: one statement per kind that is concerned."""
    names = list(wanted)
    found: dict[tuple[str, str], Shown] = {}
    for kind, model in kinds().items():
        if of_kind := [name for each, name in names if each == kind]:
            for actor in with_silence(model._default_manager.filter(name__in=of_kind)):
                found[kind, actor.name] = shown(kind, actor)
    return found


def _outcome(actor: Shown, reset: TransitionLog, later: list[TransitionLog]) -> Outcome:
    level, words = judged(actor, reset, later, timezone.now())
    return Outcome(actor, reset.first_at, reset.by, level, words)


def judged(actor: Shown, reset: TransitionLog, later: list[TransitionLog], now: datetime) -> tuple[str, str]:
    """Return level and words for what followed a reset; `later` is in the order of time."""
    failures = [line for line in later if line.target == ERROR and line.first_at >= reset.first_at]
    if failures:
        after = (failures[0].first_at - reset.first_at).total_seconds()
        back = f"it went back to Error after {after:.1f} s"
        if not actor.actor.in_error:
            return "warning", f"Reset, but {back}: {failures[0].reason}. Since then it has left Error."
        return "error", f"Still wrong: it was reset, but {back}: {failures[0].reason}"
    if actor.actor.in_error:  # its failure dates from before the reset, and was saved after it
        return "error", f"Still wrong: it is in Error again: {actor.actor.last_error}"
    if actor.word in ("Silent", "No process"):
        none = "no process has it" if actor.word == "No process" else "its process gives no sign of life"
        return "error", f"Still wrong: it was reset, but {none}, so nothing follows until one runs."
    done = {event.upper() for event in type(actor.actor).done_events}
    finished = next((line for line in later if line.event in done and line.last_at > reset.first_at), None)
    if finished:
        return "good", f"Reset, and it works: {finished.event} since then."
    if actor.actor.waiting_for:
        return "warning", f"It was reset, but it waits: {actor.actor.waiting_for}"
    elapsed = (now - reset.first_at).total_seconds()
    if elapsed < WATCHED_S:
        return "notice", f"Reset {elapsed:.0f} s ago, no error yet; watching it for {WATCHED_S:.0f} s."
    state = label(type(actor.actor), str(actor.actor.state))
    return "good", f"Reset: no error for {elapsed:.0f} s. It is in {state} and has had nothing to finish yet."
