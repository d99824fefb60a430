from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from actor_runtime.commands import ActorCommand
from ingestion.live.live_producer_actor import LiveProducer
from ingestion.providers.table import PROVIDERS, configured


class Command(ActorCommand):
    """Run the live producer of one provider."""

    help = "Read a provider's live trades and publish them to tick-data, until stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the provider's name."""
        parser.add_argument(
            "--provider", default=None, help="Whose trades; by default those of the first in the setting PROVIDERS."
        )

    def work(self, *, provider: str | None = None, **options: Any) -> LiveProducer:
        """Return the producer's work; raise CommandError if the provider is not one of PROVIDERS."""
        names = [one.name for one in configured()]
        name = provider or names[0]
        if name not in names:
            raise CommandError(f"--provider {name} is not in the setting PROVIDERS, which has {', '.join(names)}.")
        return LiveProducer(PROVIDERS[name])
