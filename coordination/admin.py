from __future__ import annotations

from collections.abc import Iterator

from django.contrib import admin
from django.utils.safestring import SafeString

from actor_runtime.admin import ActorAdmin
from actor_runtime.models import Actor
from coordination.models import Coordinator
from datastore.admin.streams import rows_table
from datastore.models import DynamicTopic, Stream

SHOWN = 50  # streams that wait


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
        """Return what is in hand, then what waits, the oldest first, then what retires."""
        rows = [*_topics(DynamicTopic.BEING_MADE), *_waiting(), *_topics((DynamicTopic.State.RETIRING,))]
        return rows_table(("What", "State", "Since, UTC", "Trouble"), rows) if rows else "Nothing."


def _topics(states: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for topic in DynamicTopic.objects.filter(state__in=states).order_by("id"):
        since = topic.retiring_at or topic.notified_at or topic.requested_at
        yield topic.name, topic.state, f"{since:%Y-%m-%d %H:%M:%S}", topic.error or ""


def _waiting() -> Iterator[tuple[str, ...]]:
    waiting = Stream.objects.filter(state=Stream.State.REQUESTED).exclude(topic__state__in=DynamicTopic.ALIVE)
    for stream in waiting.select_related("market").order_by("id")[:SHOWN]:
        due = f", not before {stream.next_try:%H:%M:%S}" if stream.next_try else ""
        told = f"stream {stream.pk}: {stream.market.symbol} {stream.timeframe}"
        state = f"waiting after {stream.attempts} tries{due}" if stream.attempts else f"waiting{due}"
        yield told, state, f"{stream.created_at:%Y-%m-%d %H:%M:%S}", stream.error or ""
