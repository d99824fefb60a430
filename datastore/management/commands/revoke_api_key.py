from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Q

from datastore.access.api_keys import KEY_CACHE_TTL_S, revoke_key
from datastore.models import ApiKey


class Command(BaseCommand):
    """Revoke an API key for good."""

    help = f"Revoke an API key; a running server refuses it within {KEY_CACHE_TTL_S:g} s."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the name or prefix."""
        parser.add_argument("key", metavar="NAME|PREFIX", help="the key's name, or the part after ck_")

    def handle(self, *args: Any, key: str, **options: Any) -> None:
        """Revoke it."""
        prefix = key.removeprefix("ck_").partition("_")[0]
        named = ApiKey.objects.filter(Q(name=key) | Q(prefix=prefix)).first()
        if named is None:
            raise CommandError(f"There is no API key of the name or prefix {key.partition('_')[0]!r}.")
        if not revoke_key(named):
            raise CommandError(f"{named} was revoked at {named.revoked_at:%Y-%m-%d %H:%M} UTC.")
        self.stdout.write(f"{named} is revoked; a running server refuses it within {KEY_CACHE_TTL_S:g} s.")
