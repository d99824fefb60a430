from __future__ import annotations

from typing import Any

from actor_runtime.commands import ActorCommand
from ingestion.live.live_producer_actor import LiveProducer


class Command(ActorCommand):
    """Run the live producer."""

    help = "Read the provider's live trades and publish them to tick-data, until stopped."

    def work(self, **options: Any) -> LiveProducer:
        """Return the producer's work."""
        return LiveProducer()
