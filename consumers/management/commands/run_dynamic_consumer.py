from __future__ import annotations

from typing import Any

from actor_runtime.commands import ActorPoolCommand
from consumers.dynamic_consumer_actor import DynamicTopicsWork


class Command(ActorPoolCommand):
    """Run the consumers of dynamic topics."""

    help = "Store what the topics bring that are made at run time, until stopped. Several processes share them out."

    def work(self, **options: Any) -> DynamicTopicsWork:
        """Return what the consumers do together."""
        return DynamicTopicsWork()
