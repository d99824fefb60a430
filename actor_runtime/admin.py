"""What the admin of every actor kind shares, and the log of transitions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from actor_runtime.charts import edges, failure_event, label
from actor_runtime.drawing import svg
from actor_runtime.errors import NotInError
from actor_runtime.manual_reset import reset
from actor_runtime.models import Actor, TransitionLog, actor_models, with_silence
from actor_runtime.ownership.claims import HEARTBEAT_TIMEOUT
from actor_runtime.read_only_admin import ReadOnlyAdmin, exact, exact_time, shortened

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


class ActorAdmin(ReadOnlyAdmin):
    """Shows actors as they are; all that a person can do is to reset one that is in Error.

    Processes make their own rows, which change by their transitions alone and retire: the log names them.
    """

    list_display = ["name", "badge", "heartbeat", shortened("waiting_for"), "error_excerpt"]
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
    change_form_template = "admin/actors/change_form.html"
    page_url = "/actors"

    def view_on_site(self, actor: Actor) -> str:
        """Return the actor's own page."""
        return f"/actors/{self.opts.model_name}/{quote(actor.name, safe='')}"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Actor]:
        """Return the actors with the age of their heartbeat."""
        return with_silence(super().get_queryset(request))

    def get_urls(self) -> list[URLPattern]:
        """Return the addresses of these pages, with the one to which an actor's page posts its reset."""
        name = f"{self.opts.app_label}_{self.opts.model_name}_reset"
        reset_url = path("<path:object_id>/reset/", self.admin_site.admin_view(self.reset_one), name=name)
        return [reset_url, *super().get_urls()]

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Show the actor, with a button to reset it if it is in Error and the user may."""
        actor = context.get("original")
        context["can_reset"] = actor is not None and actor.in_error and self.has_reset_permission(request)
        context["resets_at"] = exact_time(actor.reset_at) if actor is not None and actor.reset_at else ""
        return super().render_change_form(request, context, *args, **kwargs)

    def has_reset_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may reset actors of this kind."""
        return request.user.has_perm(f"{self.opts.app_label}.reset_{self.opts.model_name}")

    @admin.action(description="Reset errored actors", permissions=["reset"])
    def reset_errored(self, request: HttpRequest, queryset: QuerySet[Actor]) -> None:
        """Reset each chosen actor and report the outcome of each."""
        self._reset(request, queryset.values_list("name", flat=True))

    def reset_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Reset the actor whose page asks for it, and show that page again with the outcome."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_reset_permission(request):
            raise PermissionDenied
        actor = self.get_object(request, unquote(object_id))
        if actor is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined,no-any-return]
        self._reset(request, [actor.name])
        return HttpResponseRedirect(
            reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[actor.pk])
        )

    def _reset(self, request: HttpRequest, names: Iterable[str]) -> None:
        for name in names:
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
            when = exact_time(row.first_at)
            why = row.reason or ("" if row.by else f"until {exact_time(row.last_at)}" if row.count > 1 else "")
            source, target = labels.get(row.source), labels.get(row.target)
            cells.append((kind, when, row.event, source, target, row.count, why, row.by))
        log = reverse("admin:actors_transitionlog_changelist")
        query = urlencode({"kind": str(self.opts.model_name), "q": actor.name})
        return format_html(_LOG_TABLE, format_html_join("", _LOG_ROW, cells), f"{log}?{query}")


_LOG_TABLE = (
    '<div class="actor-log"><table><thead><tr><th>UTC</th><th>Event</th><th>From</th><th>To</th><th>Times</th>'
    "<th>Reason</th><th>By</th></tr></thead><tbody>{}</tbody></table></div>"
    '<p><a href="{}">The whole log of this actor</a></p>'
)
_LOG_ROW = (
    '<tr class="{}"><td>{}</td><td><b>{}</b></td><td>{}</td><td>{}</td><td class="count">{}</td>'
    "<td>{}</td><td>{}</td></tr>"
)


class _KindFilter(admin.SimpleListFilter):
    """Logs of one kind of actor; the kinds are known, so the log is not searched for them."""

    title, parameter_name = "kind", "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the kinds of actors."""
        return [(str(model._meta.model_name), kind_words(str(model._meta.model_name))) for model in actor_models()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[TransitionLog]) -> QuerySet[TransitionLog]:
        """Return the rows of the chosen kind."""
        return queryset.filter(kind=self.value()) if self.value() else queryset


class _EventFilter(admin.SimpleListFilter):
    """Logs of one event of the charts."""

    title, parameter_name = "event", "event"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the events of all charts."""
        return [(event, event) for event in sorted({edge.event for model in actor_models() for edge in edges(model)})]

    def queryset(self, request: HttpRequest, queryset: QuerySet[TransitionLog]) -> QuerySet[TransitionLog]:
        """Return the rows of the chosen event."""
        return queryset.filter(event=self.value()) if self.value() else queryset


def kind_words(kind: str) -> str:
    """Return the words for a kind of actor, as it is if no such actor is known."""
    models = {str(model._meta.model_name): model for model in actor_models()}
    return capfirst(str(models[kind]._meta.verbose_name)) if kind in models else kind


@admin.register(TransitionLog)
class TransitionLogAdmin(ReadOnlyAdmin):
    """Shows what happened, newest first: only transitions write it, and old rows are trimmed by age."""

    list_display = [
        exact("first_at", "UTC"),
        "actor",
        "kind_words",
        "event",
        "move",
        "count",
        shortened("reason"),
        "by",
    ]
    list_filter = [_KindFilter, _EventFilter]
    search_fields = ["name", "reason", "by"]
    readonly_fields = ["move"]
    fields = ["name", "kind_words", "event", "move", "count", "first_at", "last_at", "reason", "by"]
    show_full_result_count = False
    page_url = "/actors"

    def title_of(self, row: TransitionLog) -> str:
        """Return which actor made which transition."""
        return f"{row.name}: {row.event}"

    def view_on_site(self, row: TransitionLog) -> str:
        """Return the actor's page."""
        return f"/actors/{row.kind}/{quote(row.name, safe='')}"

    @admin.display(description="Actor", ordering="name")
    def actor(self, row: TransitionLog) -> str:
        """Return the actor's name."""
        return row.name

    @admin.display(description="Kind", ordering="kind")
    def kind_words(self, row: TransitionLog) -> str:
        """Return the kind of actor in words."""
        return kind_words(row.kind)

    @admin.display(description="From and to")
    def move(self, row: TransitionLog) -> str:
        """Return the states before and after in the words of the chart."""
        states = {str(value): text for model in actor_models() for value, text in model.State.choices}
        return f"{states.get(row.source, row.source)} → {states.get(row.target, row.target)}"
