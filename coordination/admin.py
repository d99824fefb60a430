from __future__ import annotations

from collections.abc import Iterator

from django.contrib import admin
from django.utils.safestring import SafeString

from actor_runtime.admin import ActorAdmin
from actor_runtime.models import Actor
from actor_runtime.read_only_admin import exact_time, rows_table
from coordination.models import Coordinator
from datastore.models import DynamicTopic, Stream

MAX_WAITING_STREAMS = 50


@admin.register(Coordinator)
class CoordinatorAdmin(ActorAdmin):
    """The Coordinator with its queue: the topic in hand, the streams that wait, the topics that retire."""

    readonly_fields = [*ActorAdmin.readonly_fields, "queue"]
    fieldsets = [
        ActorAdmin.fieldsets[0],
        ("Topics in hand, waiting and retiring", {"fields": ["queue"]}),
        *ActorAdmin.fieldsets[1:],
    ]

    @admin.display(description="")
    def queue(self, actor: Actor) -> SafeString | str:
        """Return the topics in hand, then the streams that wait, oldest first, then the topics that retire."""
        waiting: list[tuple[str, ...]] = []
        streams = Stream.objects.filter(state=Stream.State.REQUESTED).exclude(topic__state__in=DynamicTopic.ALIVE)
        for stream in streams.select_related("market").order_by("id")[:MAX_WAITING_STREAMS]:
            name = f"stream {stream.pk}: {stream.market.symbol} {stream.timeframe}"
            due = f", not before {exact_time(stream.next_try)}" if stream.next_try else ""
            state = f"waiting after {stream.attempts} tries{due}" if stream.attempts else f"waiting{due}"
            waiting.append((name, state, exact_time(stream.created_at), stream.error or ""))

        rows = [*_topics(DynamicTopic.BEING_MADE), *waiting, *_topics((DynamicTopic.State.RETIRING,))]
        return rows_table(("What", "State", "Since, UTC", "Trouble"), rows) if rows else "Nothing."


def _topics(states: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for topic in DynamicTopic.objects.filter(state__in=states).order_by("id"):
        since = topic.retiring_at or topic.notified_at or topic.requested_at
        yield topic.name, topic.state, exact_time(since), topic.error or ""
