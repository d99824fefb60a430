"""What the admin of every actor kind shares, and the log of transitions."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from actor_runtime.charts import failure_event, label
from actor_runtime.drawing import svg
from actor_runtime.errors import NotInError
from actor_runtime.manual_reset import reset
from actor_runtime.models import ERROR, Actor, TransitionLog, with_silence

LOG_ROWS = 60
LATE, STALE = 6, 10  # seconds of silence


def badge_class(model: type[Actor], state: str) -> str:
    """Return the colour class of a state: error, at work, or resting."""
    if state == ERROR:
        return "error"
    return "working" if failure_event(model, state) else "resting"


def span(seconds: float) -> str:
    """Return a span in its one telling unit: 4 s, 12 min, 3 h, 5 d."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


class ActorAdmin(admin.ModelAdmin[Actor]):
    """Shows actors as they are; the only thing a person can do is reset one that is in Error."""

    list_display = ["name", "badge", "heartbeat", "waiting_for", "error_told"]
    list_filter = ["state", ("retired_at", admin.EmptyFieldListFilter)]
    ordering = ["-retired_at", "name"]  # PostgreSQL has those without a time first: they are at work
    search_fields = ["name", "owner", "last_error"]
    actions = ["reset_errored"]
    readonly_fields = ["chart", "badge", "heartbeat", "transitions"]
    fieldsets = [
        (None, {"fields": ["chart", "badge", "waiting_for", "last_error", "error_count", "reset_at"]}),
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
        """Refuse: an actor changes by its transitions alone."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Actor | None = None) -> bool:
        """Refuse: rows retire, and their log names them."""
        return False

    def has_reset_permission(self, request: HttpRequest) -> bool:
        """Say whether the user may reset this kind."""
        return request.user.has_perm(f"{self.opts.app_label}.reset_{self.opts.model_name}")

    @admin.action(description="Reset errored actors", permissions=["reset"])
    def reset_errored(self, request: HttpRequest, queryset: QuerySet[Actor]) -> None:
        """Reset each chosen actor and say of each what came of it."""
        for name in queryset.values_list("name", flat=True):
            try:
                reset(self.model, name, by=f"{request.user.get_username()} (admin)")
            except NotInError as exc:
                messages.warning(request, str(exc))
            else:
                messages.success(request, f"{name} is reset.")

    @admin.display(description="State", ordering="state")
    def badge(self, actor: Actor) -> SafeString:
        """Return the state as a coloured badge."""
        state = str(actor.state)
        return format_html(
            '<span class="actor-badge {}">{}</span>', badge_class(self.model, state), label(self.model, state)
        )

    @admin.display(description="Heartbeat", ordering="heartbeat_at")
    def heartbeat(self, actor: Actor) -> SafeString:
        """Return the age of the last heartbeat; an owner's is red when it is stale."""
        silence = getattr(actor, "silence", None)
        seconds = silence.total_seconds() if silence is not None else 0.0
        pulse = "free" if not actor.owner else "stale" if seconds > STALE else "late" if seconds > LATE else "fresh"
        told = "never" if silence is None else span(seconds)
        if actor.retired_at is not None:
            told = f"{told}, retired"
        return format_html('<span class="actor-pulse {}">{}</span>', pulse, told)

    @admin.display(description="Last error")
    def error_told(self, actor: Actor) -> SafeString | str:
        """Return the beginning of the last error."""
        text = actor.last_error or ""
        return format_html('<span title="{}">{}</span>', text, text[:90] + "…" * (len(text) > 90)) if text else "-"

    @admin.display(description="")
    def chart(self, actor: Actor) -> SafeString:
        """Return the chart with the current state lit."""
        return format_html('<div class="actor-chart" tabindex="0">{}</div>', svg(self.model, str(actor.state)))

    @admin.display(description="")
    def transitions(self, actor: Actor) -> SafeString:
        """Return the newest rows of the actor's log."""
        rows = TransitionLog.objects.filter(kind=self.opts.model_name, name=actor.name)[:LOG_ROWS]
        body = format_html_join("", _LOG_ROW, (self._log_row(row) for row in rows))
        return format_html(_LOG_TABLE, body)

    def _log_row(self, row: TransitionLog) -> tuple[Any, ...]:
        words = {str(value): text for value, text in self.model.State.choices}
        when = f"{row.first_at:%Y-%m-%d %H:%M:%S}"
        told = row.reason or ("" if row.by else f"until {row.last_at:%H:%M:%S}" if row.count > 1 else "")
        kind = "alone" if row.minute is None else "run"
        return kind, when, row.event, words.get(row.source), words.get(row.target), row.count, told, row.by


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
        """Refuse: transitions write the log."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: TransitionLog | None = None) -> bool:
        """Refuse: what happened has happened."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: TransitionLog | None = None) -> bool:
        """Refuse: old rows are trimmed by age."""
        return False
