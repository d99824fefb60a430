from __future__ import annotations

from typing import Any

from actor_runtime.commands import ActorCommand
from coordination.coordinator_actor import CoordinatorWork


class Command(ActorCommand):
    """Run the Coordinator."""

    help = "Dispatch requests for history and make topics, until stopped. A second process waits to replace the first."

    def work(self, **options: Any) -> CoordinatorWork:
        """Return the Coordinator's work."""
        return CoordinatorWork()
