"""The command line: Django's, with one clear line where a setting is wrong or Candlekeep is not running."""

from __future__ import annotations

import platform
import sys

import django
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db import InterfaceError, OperationalError

from config.version import VERSION

# These work, or explain themselves, without a database.
WITHOUT_DATABASE = {"up", "check", "makemigrations", "help", "diffsettings", "findstatic", "startapp"}


def run(argv: list[str]) -> int:
    """Run one command and return the process's exit code."""
    if "--version" in argv or argv[1:] == ["version"]:  # Django would answer with its own
        print(version())
        return 0
    try:
        if absent := missing_server(argv):
            return _say(absent)
        execute_from_command_line(argv)
    except ImproperlyConfigured as error:
        if "--traceback" in argv:
            raise
        return _say(f"Settings: {error}")
    except (OperationalError, InterfaceError) as error:
        if "--traceback" in argv:
            raise
        return _say(f"The database does not answer: {_first_line(error)}\n{start_hint()}")
    except KeyboardInterrupt:
        return 130
    return 0


def version() -> str:
    """Return the version, and those of what it runs on, as a report of a fault should name them."""
    return f"Candlekeep {VERSION} (Django {django.get_version()}, Python {platform.python_version()})"


def missing_server(argv: list[str]) -> str | None:
    """Return why this command cannot work now: it needs a server and nobody has started one."""
    from django.conf import settings

    command = argv[1] if len(argv) > 1 else "help"
    if command in WITHOUT_DATABASE or {"-h", "--help"} & set(argv) or settings.DATABASE_URL:
        return None
    return f"Candlekeep is not running.\n{start_hint()}"


def start_hint() -> str:
    """Return how to start the servers of this home, or how to name others."""
    from django.conf import settings

    home = settings.CANDLEKEEP_HOME
    return f"Start it in another terminal with `make run` (its folder: {home}), or set DATABASE_URL and REDIS_URL."


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _say(text: str) -> int:
    print(text, file=sys.stderr)
    return 1
