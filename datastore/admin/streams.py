"""Streams and their topics in the admin: each step with its time and actor, and an action that ends streams."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from actor_runtime.read_only_admin import ReadOnlyAdmin, cell, exact, rows_table, shortened
from datastore.admin.columns import by_whom, confirmation, market_page
from datastore.models import DynamicTopic, Stream
from datastore.streams import lifecycle
from datastore.streams.steps import Step, steps_of, topic_steps


def steps_table(steps: Sequence[Step]) -> SafeString:
    """Return the steps as a table; one that was not taken yet has no time."""
    rows = ((step.name.replace("_", " "), cell(step.at) or "-", step.by) for step in steps)
    return rows_table(("Step", "UTC", "By"), rows)


def _newest(steps: Sequence[Step]) -> str:
    taken = [step for step in steps if step.at is not None]
    return max(taken, key=lambda step: str(step.at)).name.replace("_", " ") if taken else "-"


@admin.register(Stream)
class StreamAdmin(ReadOnlyAdmin):
    """What applications follow, and until when."""

    list_display = ["id", "market", "timeframe", "state", "newest_step", "topic", exact("lease_until"), "attempts"]
    list_display += [shortened("error", length=60), "asked_by"]
    list_filter = ["state", "timeframe", ("market", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["market", "topic"]
    search_fields = ["market__symbol", "topic__name", "asked_by", "error"]
    readonly_fields = ["steps"]
    fields = ["market", "timeframe", "state", "topic", "lease_until", "attempts", "next_try", "error", "asked_by"]
    fields += ["ended_by", "steps"]
    actions = ["end_streams"]
    page_url = "/streams"

    def title_of(self, row: Stream) -> str:
        """Return the stream's number, market and timeframe."""
        return f"Stream {row.pk}: {row.market} {row.timeframe}, {row.state}"

    def view_on_site(self, row: Stream) -> str:
        """Return the market's page."""
        return market_page(row.market.symbol)

    def has_end_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may end streams."""
        return request.user.has_perm("datastore.end_stream")

    @admin.action(description="End streams", permissions=["end"])
    def end_streams(self, request: HttpRequest, queryset: QuerySet[Stream]) -> HttpResponse | None:
        """Ask first; then end the selected streams that are alive, and say how many of the others had ended before."""
        question = "End these streams? Those who follow them have to ask for new ones."
        if page := confirmation(self, request, queryset, question, "End them"):
            return page
        by = by_whom(request)
        ended = [stream.pk for stream in queryset if lifecycle.end(stream.pk, by)]
        if ended:
            messages.success(request, f"{len(ended)} ended; a topic that no other stream needs retires by itself.")
        if left := len(queryset) - len(ended):
            messages.warning(request, f"{left} had ended before.")
        return None

    @admin.display(description="Newest step")
    def newest_step(self, stream: Stream) -> str:
        """Return the step that was taken last."""
        return _newest(steps_of(stream))

    @admin.display(description="")
    def steps(self, stream: Stream) -> SafeString:
        """Return each step of the stream and its topic."""
        return steps_table(steps_of(stream))


@admin.register(DynamicTopic)
class DynamicTopicAdmin(ReadOnlyAdmin):
    """Topics made at run time, the newest first, and which actor took which step."""

    list_display = [
        "name",
        "market",
        "state",
        "newest_step",
        exact("requested_at"),
        exact("live_at"),
        shortened("error"),
    ]
    list_filter = ["state", ("market", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["market"]
    search_fields = ["name", "market__symbol", "error"]
    readonly_fields = ["served_streams", "steps"]
    fields = ["name", "market", "state", "error", "create_error", "route_error", "subscribe_error"]
    fields += ["served_streams", "steps"]
    page_url = "/streams"

    def title_of(self, row: DynamicTopic) -> str:
        """Return the topic's name and market."""
        return f"{row.name}: {row.market}, {row.state}"

    def view_on_site(self, row: DynamicTopic) -> str:
        """Return the market's page."""
        return market_page(row.market.symbol)

    @admin.display(description="Newest step")
    def newest_step(self, topic: DynamicTopic) -> str:
        """Return the step that was taken last."""
        return _newest(topic_steps(topic))

    @admin.display(description="Streams")
    def served_streams(self, topic: DynamicTopic) -> str:
        """Return the streams that this topic serves or served."""
        streams = Stream.objects.filter(topic=topic).order_by("id")
        return ", ".join(f"{stream.pk}: {stream.timeframe} {stream.state}" for stream in streams) or "-"

    @admin.display(description="")
    def steps(self, topic: DynamicTopic) -> SafeString:
        """Return each step of the topic."""
        return steps_table(topic_steps(topic))
