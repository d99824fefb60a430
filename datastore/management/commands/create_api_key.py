from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from datastore.access.api_keys import make_key
from datastore.models import ApiKey


class Command(BaseCommand):
    """Create an API key and print it once."""

    help = "Create an API key for a program; its text is printed once and never stored."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take name, scope and limits."""
        parser.add_argument("name", help="who uses it, e.g. grafana")
        parser.add_argument("--write", action="store_true", help="it may also write: backfill, reset, …")
        parser.add_argument("--rate", type=int, metavar="N", help="requests per minute, instead of RATE_LIMIT_PER_KEY")
        parser.add_argument("--budget", type=int, metavar="N", help="pages per day, instead of FETCH_BUDGET_PER_KEY")

    def handle(self, *args: Any, name: str, write: bool, rate: int | None, budget: int | None, **options: Any) -> None:
        """Save the key and print its text."""
        key, text = make_key(name, ApiKey.Scope.WRITE if write else ApiKey.Scope.READ, rate, budget)
        try:
            key.full_clean()
        except ValidationError as exc:
            errors = (f"{field}: {' '.join(messages)}" for field, messages in exc.message_dict.items())
            raise CommandError(" ".join(errors)) from None
        key.save()
        self.stderr.write(f"{key.name} may {'read and write' if write else 'read'}. This is its only display:")
        self.stdout.write(text)  # alone, so that a script can take it
