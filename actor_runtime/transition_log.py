"""Records every transition: in the actor's journal for TransitionLog, and as a line of the process log."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import connection
from django.dispatch import receiver
from django.utils import timezone
from django_fsm.signals import post_transition
from prometheus_client import Counter

from actor_runtime.journal.transition_buffer import BufferedTransition
from actor_runtime.models import Actor, TransitionLog
from actor_runtime.redaction import without_secrets
from metering.table import ACTOR_ERRORS, ACTOR_RESETS, ACTOR_TAKEOVERS

log = structlog.get_logger(__name__)
FAILURE_SUFFIXES = ("_failure", "_failed")


@receiver(post_transition)
def note_transition(
    instance: object, name: str, source: str, target: str, method_kwargs: dict[str, Any], **_: object
) -> None:
    """Add the transition to the actor's journal. The signal is sent before any save, so nothing is written here."""
    if not isinstance(instance, Actor):
        return
    at = method_kwargs.get("at") or timezone.now()
    reason = method_kwargs.get("reason", "")
    if reason:
        reason = without_secrets(reason)  # the row and its log are shown to readers
    if failed := name.endswith(FAILURE_SUFFIXES):
        instance.last_error = reason
        instance.last_error_at, instance.recovered_at = at, None
        instance.error_count += 1
    elif name == "reset":
        instance.reset_at = None
    elif name in instance.done_events:
        instance.error_count = 0
        if instance.last_error_at and not instance.recovered_at:
            instance.recovered_at = at
    entry = BufferedTransition(
        event=name.upper(),
        source=str(source),
        target=str(target),
        first_at=at,
        last_at=at,
        alone=failed or name == "reset",
        reason=reason,
        by=method_kwargs.get("by", ""),
        uncommitted=connection.in_atomic_block,
    )
    instance.journal.pending.append(entry)
    if failed or name == "reset":
        _count(ACTOR_ERRORS if failed else ACTOR_RESETS, instance)
    level = logging.ERROR if failed else logging.DEBUG if name in instance.hot_events else logging.INFO
    if log.isEnabledFor(level):  # a busy cycle is logged in detail or not at all
        _log_line(instance, entry, level)


def _count(counter: Counter, actor: Actor) -> None:
    counter.labels(str(actor._meta.model_name), actor.role).inc()


def _log_line(actor: Actor, entry: BufferedTransition, level: int) -> None:
    details = {key: value for key, value in (("reason", entry.reason), ("by", entry.by)) if value}
    log.log(
        level,
        "actor transition",
        actor=actor.name,
        kind=actor._meta.model_name,
        trigger=entry.event,
        source=entry.source,
        target=entry.target,
        **details,
    )


def note_takeover(actor: Actor, *, reason: str, by: str, died: bool = True) -> None:
    """Record a change of owner (not a transition). died: False if the owner released it."""
    now = timezone.now()
    state = str(actor.state)
    entry = BufferedTransition("TAKEOVER", state, state, now, now, alone=True, reason=reason, by=by)
    actor.journal.pending.append(entry)
    if died:
        _count(ACTOR_TAKEOVERS, actor)
    _log_line(actor, entry, logging.WARNING if died else logging.INFO)


def trim(days: float, now: datetime | None = None) -> int:
    """Delete log rows whose minute or event is more than `days` days old; return how many."""
    before = (now or timezone.now()) - timedelta(days=days)
    return TransitionLog.objects.filter(first_at__lt=before).delete()[0]
