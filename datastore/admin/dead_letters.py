"""Dead letters in the admin: their bytes as text, and another try."""

from __future__ import annotations

import json

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from actor_runtime.read_only_admin import ReadOnlyAdmin, exact, json_words, shortened
from datastore.admin.columns import by_whom
from datastore.dead_letters import NotReplayable, replay, replay_obstacle
from datastore.models import DeadLetter
from streaming.errors import StreamUnavailable

MAX_RAW_BYTES = 10_000


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    """Records that could not be stored."""

    list_display = [exact("created_at"), "topic", "market", "code", shortened("reason"), "position"]
    list_display += [exact("replayed_at")]
    list_filter = ["topic", "code", ("replayed_at", admin.EmptyFieldListFilter)]
    search_fields = ["market", "reason"]
    fields = ["created_at", "topic", "market", "code", "reason", "position", "replayed_at", "replayed_by", "obstacle"]
    fields += ["size", "as_text", "as_json"]
    readonly_fields = ["obstacle", "size", "as_text", "as_json"]
    actions = ["replay_dead_letters"]
    page_url = "/dead-letters"

    def title_of(self, row: DeadLetter) -> str:
        """Return the letter's number, market and kind of reason."""
        return f"Dead letter {row.pk}: {row.market or row.topic}, {row.code}"

    def view_on_site(self, row: DeadLetter) -> str:
        """Return the page of dead letters."""
        return self.page_url

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may publish dead letters again."""
        return request.user.has_perm("datastore.replay_deadletter")

    @admin.action(description="Replay: publish them again", permissions=["replay"])
    def replay_dead_letters(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> None:
        """Publish the selected dead letters again, the oldest first, and report each result."""
        for dead_letter in queryset.order_by("pk"):
            try:
                replay(dead_letter, by=by_whom(request))
            except (NotReplayable, StreamUnavailable) as exc:
                messages.warning(request, f"{dead_letter.pk}: {exc}")
            else:
                messages.success(request, f"{dead_letter.pk} is published to {dead_letter.topic} again.")

    @admin.display(description="Can be replayed")
    def obstacle(self, dead_letter: DeadLetter) -> str:
        """Return whether it can be published again, and if not why."""
        return replay_obstacle(dead_letter) or "yes"

    @admin.display(description="Bytes")
    def size(self, dead_letter: DeadLetter) -> str:
        """Return how many bytes it has, and how many of them are shown."""
        size = len(bytes(dead_letter.raw))
        return f"{size:,}" + (f", of which the first {MAX_RAW_BYTES:,} are shown" if size > MAX_RAW_BYTES else "")

    @admin.display(description="Raw bytes")
    def as_text(self, dead_letter: DeadLetter) -> SafeString:
        """Return the record as it came; bytes that are not text are escaped."""
        return format_html("<pre>{}</pre>", bytes(dead_letter.raw)[:MAX_RAW_BYTES].decode("utf-8", "backslashreplace"))

    @admin.display(description="As JSON")
    def as_json(self, dead_letter: DeadLetter) -> SafeString | str:
        """Return the record indented if it is JSON that is shown whole."""
        raw = bytes(dead_letter.raw)
        try:
            return json_words(json.loads(raw)) if len(raw) <= MAX_RAW_BYTES else "too long"
        except (ValueError, RecursionError):
            return "It is no JSON."

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeadLetter]:
        """Load the bytes only when a dead letter is opened."""
        return super().get_queryset(request).defer("raw")
