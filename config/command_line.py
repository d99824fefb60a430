"""Django's command line, with one clear line if a setting is wrong or Candlekeep is not running."""

from __future__ import annotations

import platform
import sys

import django
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from actor_runtime.redaction import without_secrets
from actor_runtime.reset_policy import DATABASE_AWAY
from config.version import VERSION
from metering.sharing import share_counters

# These work, or say what is wrong, without a database.
WITHOUT_DATABASE = {"up", "check", "makemigrations", "help", "diffsettings", "findstatic", "startapp"}


def run(argv: list[str]) -> int:
    """Run one command and return the process's exit code."""
    if "--version" in argv or argv[1:] == ["version"]:  # Django would answer with its own
        print(version())
        return 0
    try:
        if reason := missing_server(argv):
            return _fail(reason)
        if argv[1:2] == ["up"]:
            share_with_children()
        execute_from_command_line(argv)
    except ImproperlyConfigured as error:
        if "--traceback" in argv:
            raise
        return _fail(f"Settings: {error}")
    except DATABASE_AWAY as error:
        if "--traceback" in argv:
            raise
        first_line = str(error).strip().partition("\n")[0]
        return _fail(f"The database does not answer: {first_line}\n{start_hint()}")
    except KeyboardInterrupt:
        return 130
    return 0


def version() -> str:
    """Return the version, and those of what it runs on, as a report of a fault should name them."""
    return f"Candlekeep {VERSION} (Django {django.get_version()}, Python {platform.python_version()})"


def missing_server(argv: list[str]) -> str | None:
    """Return why this command cannot work now (it needs a server and none was started), else None."""
    from django.conf import settings

    command = argv[1] if len(argv) > 1 else "help"
    if command in WITHOUT_DATABASE or {"-h", "--help"} & set(argv) or settings.DATABASE_URL:
        return None
    return f"Candlekeep is not running.\n{start_hint()}"


def share_with_children() -> None:
    """Count where the children of `up` will: they are forked from this process, which makes its metrics first."""
    from django.conf import settings

    share_counters(settings.METRICS_FOLDER)  # where it cannot, the children say so


def start_hint() -> str:
    """Return how to start this home's servers, or how to name others."""
    from django.conf import settings

    home = settings.CANDLEKEEP_HOME
    return f"Start it in another terminal with `make run` (its folder: {home}), or set DATABASE_URL and REDIS_URL."


def _fail(text: str) -> int:
    print(without_secrets(text), file=sys.stderr)
    return 1
