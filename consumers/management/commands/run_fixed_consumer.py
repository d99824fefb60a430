from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from actor_runtime.commands import ActorCommand
from consumers.fixed_consumer_actor import FixedTopicWork
from streaming.topics import FIXED_TOPICS


class Command(ActorCommand):
    """Run the consumer of one fixed topic."""

    help = "Store what a fixed topic brings, until stopped. On Kafka a second process shares the topic, else it waits."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the topic."""
        parser.add_argument("--topic", required=True, choices=sorted(FIXED_TOPICS))

    def work(self, **options: Any) -> FixedTopicWork:
        """Return the consumer's work."""
        return FixedTopicWork(options["topic"])
