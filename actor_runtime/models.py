"""What every actor row has, and the log of transitions.

A chart is a subclass with a `State`, a protected `state` field and one @transition method per event. The field is
declared in each chart, not here: django-fsm binds an inherited field's methods to whichever class came last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Self

from django.apps import apps
from django.db import models, transaction
from django.db.models import DurationField, ExpressionWrapper, F, QuerySet
from django_fsm import FSMField

from actor_runtime.errors import Fenced
from actor_runtime.journal.persistence import store, store_locked
from actor_runtime.journal.transition_buffer import TransitionBuffer
from actor_runtime.steady_time import SteadyNow

ERROR = "error"


def state_field(states: type[models.TextChoices], first: models.TextChoices) -> FSMField:
    """Return the state column of a chart: only its transitions can change it."""
    column: FSMField = FSMField(protected=True, choices=states.choices, default=first, max_length=40, editable=False)
    return column


def role_field(default: str = "") -> models.CharField[str, str]:
    """Return the column with what an actor does: a metric label, and what the processes that may own it look for."""
    return models.CharField(max_length=60, default=default, editable=False)


class Actor(models.Model):
    """A persisted state chart, owned by at most one process at a time."""

    State: ClassVar[type[models.TextChoices]]
    state: Any
    # Events of the busy cycle: counted by the minute and logged at DEBUG.
    hot_events: ClassVar[frozenset[str]] = frozenset()
    # Events that complete a piece of work, and so end a run of errors.
    done_events: ClassVar[frozenset[str]] = frozenset()
    # Column and row of each state in the drawing.
    places: ClassVar[dict[str, tuple[float, float]]] = {}
    # Whether one row of a role can do the work of any other; such rows are numbered.
    interchangeable: ClassVar[bool] = True

    role = role_field()
    name = models.CharField(max_length=120, unique=True)
    epoch = models.BigIntegerField(default=0, editable=False, help_text="Goes up with every new owner.")
    owner = models.CharField(
        max_length=200, blank=True, default="", editable=False, help_text="host:pid:start of the process, empty: free"
    )
    heartbeat_at = models.DateTimeField(null=True, editable=False, help_text="The database's clock.")
    waiting_for = models.TextField(null=True, editable=False)
    last_error = models.TextField(null=True, editable=False)
    last_error_at = models.DateTimeField(null=True, editable=False)
    recovered_at = models.DateTimeField(
        null=True, editable=False, help_text="The first success after the last error; empty: none yet."
    )
    error_count = models.PositiveIntegerField(default=0, editable=False, help_text="Errors since the last success.")
    reset_at = models.DateTimeField(null=True, editable=False, help_text="The next automatic reset.")
    retired_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        abstract = True
        ordering = ["name"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.journal = TransitionBuffer()

    def __str__(self) -> str:
        return self.name

    @classmethod
    @contextmanager
    def locked(cls, name: str, epoch: int | None = None) -> Iterator[Self]:
        """Yield the row under its lock and save it, with its transitions, on a clean exit.

        Raises DoesNotExist; Fenced if the row no longer has the given epoch.
        """
        with transaction.atomic():
            actor = cls._default_manager.select_for_update().get(name=name)
            if epoch is not None and actor.epoch != epoch:
                raise Fenced
            found = actor.epoch
            yield actor
            store(actor, found)
            if own := cls._own_columns():
                actor.save(update_fields=own)

    @classmethod
    @contextmanager
    def locked_all(cls, names: Iterable[str]) -> Iterator[list[Self]]:
        """Yield the rows of these names under their locks; save, on a clean exit, those that have changed.

        As many statements for many rows as for one. Names without a row are left out.
        """
        with transaction.atomic():
            actors = list(cls._default_manager.select_for_update().filter(name__in=names).order_by("name"))
            found = {actor.name: actor.epoch for actor in actors}
            yield actors
            changed = [actor for actor in actors if actor.journal.pending or actor.epoch != found[actor.name]]
            store_locked(changed, [found[actor.name] for actor in changed])
            if changed and (own := cls._own_columns()):
                cls._default_manager.bulk_update(changed, own)

    @property
    def in_error(self) -> bool:
        """Return whether the actor is in Error."""
        return bool(self.state == ERROR)

    @classmethod
    def _own_columns(cls) -> list[str]:
        """Return the columns that a chart adds to those that every actor has."""
        shared = {field.name for field in Actor._meta.get_fields()} | {"id", "state"}
        return [field.name for field in cls._meta.concrete_fields if field.name not in shared]


def with_silence(actors: QuerySet[Any]) -> QuerySet[Any]:
    """Return the actors with `silence`: the time since the heartbeat by the database's clock, None before the first."""
    silence = ExpressionWrapper(SteadyNow() - F("heartbeat_at"), output_field=DurationField())
    annotated: QuerySet[Any] = actors.annotate(silence=silence)
    return annotated


class TransitionLog(models.Model):
    """Transitions: one row per actor, event, edge and minute; a failure, reset or takeover gets a row of its own."""

    kind = models.CharField(max_length=60, help_text="Model name of the actor, e.g. producer.")
    name = models.CharField(max_length=120)
    event = models.CharField(max_length=40)
    source = models.CharField(max_length=40)
    target = models.CharField(max_length=40)
    minute = models.DateTimeField(null=True, help_text="Empty if the row stands alone.")
    count = models.PositiveIntegerField(default=1)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    reason = models.TextField(blank=True, default="")
    by = models.CharField(max_length=200, blank=True, default="", help_text="Who or what did it.")

    class Meta:
        db_table = "transition_log"
        ordering = ["-first_at", "-id"]
        # NULL minutes never collide, which gives each failure a row of its own.
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "name", "event", "source", "target", "minute"], name="transition_log_run"
            )
        ]
        # last_at is in no index, so that counting up a run stays a heap-only update.
        indexes = [
            models.Index(fields=["kind", "name", "-first_at"], name="transition_log_newest"),
            models.Index(fields=["-first_at", "-id"], name="transition_log_by_time"),
            models.Index(fields=["event", "-first_at"], name="transition_log_by_event"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.event} {self.source} -> {self.target}"


def actor_models() -> list[type[Actor]]:
    """Return the model of every kind of actor, each of which has its chart."""
    return [model for model in apps.get_models() if issubclass(model, Actor)]
