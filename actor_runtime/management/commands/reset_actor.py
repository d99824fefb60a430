from __future__ import annotations

import getpass
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from actor_runtime.errors import NotInError
from actor_runtime.manual_reset import reset
from actor_runtime.models import Actor, actor_models


class Command(BaseCommand):
    """Reset an actor that is in Error."""

    help = "Bring an actor in Error back to its first state."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the actor's name, and its kind in case two kinds share the name."""
        parser.add_argument("name", help="e.g. fixed-tick-1")
        parser.add_argument("--kind", help=f"one of: {', '.join(sorted(_kinds()))}", choices=sorted(_kinds()))

    def handle(self, *args: Any, name: str, kind: str | None, **options: Any) -> None:
        """Reset the actor of this name."""
        kinds = _kinds()
        found = [key for key in ([kind] if kind else kinds) if kinds[key]._default_manager.filter(name=name).exists()]
        if not found:
            raise CommandError(f"There is no actor named {name}. `manage.py status` lists them.")
        if len(found) > 1:
            raise CommandError(f"{name} is the name of several actors. Add --kind {' or --kind '.join(found)}.")

        try:
            reset(kinds[found[0]], name, by=f"{getpass.getuser()} (reset_actor)")
        except NotInError as exc:
            raise CommandError(str(exc)) from None
        self.stdout.write(f"{name} is reset.")


def _kinds() -> dict[str, type[Actor]]:
    return {str(model._meta.model_name): model for model in actor_models()}
