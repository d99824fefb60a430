"""What the admin of every actor kind shares, and the log of transitions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from actor_runtime.charts import failure_event, label
from actor_runtime.drawing import svg
from actor_runtime.errors import NotInError
from actor_runtime.manual_reset import reset
from actor_runtime.models import Actor, TransitionLog, with_silence
from actor_runtime.ownership.claims import HEARTBEAT_TIMEOUT

MAX_LOG_ROWS = 60
LATE_AFTER_S = 6  # since the last heartbeat


def badge_class(actor: Actor, waits_for: str | None) -> str:
    """Return the colour class of an actor: error, waiting for something, at work, or resting."""
    if actor.in_error:
        return "error"
    if waits_for:
        return "waiting"
    return "working" if failure_event(type(actor), str(actor.state)) else "resting"


def error_story(actor: Actor) -> str:
    """Return the last error with its age and whether it was overcome; empty if there was none."""
    if not actor.last_error:
        return ""
    age = _age(actor.last_error_at) if actor.last_error_at else "at an unknown time"
    end = f"overcome {_age(actor.recovered_at)}" if actor.recovered_at else "not overcome"
    return f"{age}, {end}: {actor.last_error}"


def _age(time: datetime) -> str:
    return f"{span((timezone.now() - time).total_seconds())} ago"


def span(seconds: float) -> str:
    """Return a span in the one unit that suits it: 4 s, 12 min, 3 h, 5 d."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


_ERROR_FIELDS = ("last_error", "last_error_at", "recovered_at")


class ActorAdmin(admin.ModelAdmin[Actor]):
    """Shows actors as they are; all that a person can do is to reset one that is in Error."""

    list_display = ["name", "badge", "heartbeat", "waiting_for", "error_excerpt"]
    list_filter = ["state", ("retired_at", admin.EmptyFieldListFilter)]
    ordering = ["-retired_at", "name"]  # PostgreSQL sorts NULL first here: actors at work
    search_fields = ["name", "owner", "last_error"]
    actions = ["reset_errored"]
    readonly_fields = ["chart", "badge", "heartbeat", "transitions"]
    fieldsets = [
        (None, {"fields": ["chart", "badge", "waiting_for", *_ERROR_FIELDS, "error_count", "reset_at"]}),
        ("Owner", {"fields": ["owner", "epoch", "heartbeat", "heartbeat_at", "retired_at"]}),
        ("Log", {"fields": ["transitions"]}),
    ]

    class Media:
        css = {"all": ["actor_runtime/admin.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Actor]:
        """Return the actors with the age of their heartbeat."""
        return with_silence(super().get_queryset(request))

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: processes make their own rows."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Actor | None = None) -> bool:
        """Refuse: an actor changes only by its transitions."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Actor | None = None) -> bool:
        """Refuse: rows retire, and their log names them."""
        return False

    def has_reset_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may reset actors of this kind."""
        return request.user.has_perm(f"{self.opts.app_label}.reset_{self.opts.model_name}")

    @admin.action(description="Reset errored actors", permissions=["reset"])
    def reset_errored(self, request: HttpRequest, queryset: QuerySet[Actor]) -> None:
        """Reset each chosen actor and report the outcome of each."""
        for name in queryset.values_list("name", flat=True):
            try:
                reset(self.model, name, by=f"{request.user.get_username()} (admin)")
            except NotInError as exc:
                messages.warning(request, str(exc))
            else:
                messages.success(request, f"{name} is reset.")

    @admin.display(description="State", ordering="state")
    def badge(self, actor: Actor) -> SafeString:
        """Return the state as a badge whose colour says whether all is well; its title says what is not."""
        waits_for = self.waits_for(actor)
        return format_html(
            '<span class="actor-badge {}"{}>{}</span>',
            badge_class(actor, waits_for),
            format_html(' title="{}"', waits_for) if waits_for else "",
            label(self.model, str(actor.state)),
        )

    def waits_for(self, actor: Actor) -> str | None:
        """Return what keeps the actor's data from being well although it is not in Error; None if nothing does."""
        return actor.waiting_for

    @admin.display(description="Heartbeat", ordering="heartbeat_at")
    def heartbeat(self, actor: Actor) -> SafeString:
        """Return the age of the last heartbeat; an owner's is red when it is stale."""
        silence = getattr(actor, "silence", None)
        seconds = silence.total_seconds() if silence is not None else 0.0
        pulse = (
            "free"
            if not actor.owner
            else "stale"
            if seconds > HEARTBEAT_TIMEOUT.total_seconds()
            else "late"
            if seconds > LATE_AFTER_S
            else "fresh"
        )
        age = "never" if silence is None else span(seconds)
        if actor.retired_at is not None:
            age = f"{age}, retired"
        return format_html('<span class="actor-pulse {}">{}</span>', pulse, age)

    @admin.display(description="Last error")
    def error_excerpt(self, actor: Actor) -> SafeString | str:
        """Return the beginning of the last error, with its age and whether it was overcome."""
        text = error_story(actor)
        return format_html('<span title="{}">{}</span>', text, text[:90] + "…" * (len(text) > 90)) if text else "-"

    @admin.display(description="")
    def chart(self, actor: Actor) -> SafeString:
        """Return the chart with the current state lit."""
        return format_html('<div class="actor-chart" tabindex="0">{}</div>', svg(self.model, str(actor.state)))

    @admin.display(description="")
    def transitions(self, actor: Actor) -> SafeString:
        """Return the newest rows of the actor's log."""
        labels = {str(value): text for value, text in self.model.State.choices}
        cells: list[tuple[Any, ...]] = []
        for row in TransitionLog.objects.filter(kind=self.opts.model_name, name=actor.name)[:MAX_LOG_ROWS]:
            kind = "alone" if row.minute is None else "run"
            when = f"{row.first_at:%Y-%m-%d %H:%M:%S}"
            why = row.reason or ("" if row.by else f"until {row.last_at:%H:%M:%S}" if row.count > 1 else "")
            source, target = labels.get(row.source), labels.get(row.target)
            cells.append((kind, when, row.event, source, target, row.count, why, row.by))
        return format_html(_LOG_TABLE, format_html_join("", _LOG_ROW, cells))


_LOG_TABLE = (
    '<div class="actor-log"><table><thead><tr><th>UTC</th><th>Event</th><th>From</th><th>To</th><th>Times</th>'
    "<th>Reason</th><th>By</th></tr></thead><tbody>{}</tbody></table></div>"
)
_LOG_ROW = (
    '<tr class="{}"><td>{}</td><td><b>{}</b></td><td>{}</td><td>{}</td><td class="count">{}</td>'
    "<td>{}</td><td>{}</td></tr>"
)


@admin.register(TransitionLog)
class TransitionLogAdmin(admin.ModelAdmin[TransitionLog]):
    """Shows what happened, newest first."""

    list_display = ["first_at", "kind", "name", "event", "source", "target", "count", "reason", "by"]
    list_filter = ["kind", "event"]
    search_fields = ["name", "reason", "by"]
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: only transitions write the log."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: TransitionLog | None = None) -> bool:
        """Refuse: the log is a record of what happened."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: TransitionLog | None = None) -> bool:
        """Refuse: old rows are trimmed by age."""
        return False
