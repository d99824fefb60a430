"""The part of the start that works with the database, in a process of its own: what it takes of memory ends with it."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError

from config.supervision import first_start
from config.supervision.errors import StartError
from config.supervision.forking import ForkServer
from config.supervision.provider import Contact, Identity

STEP, REFUSAL = "step", "refusal"  # a line of what the process prints is one of these as JSON, or for a person


def _set_up_schema(on_terminal: bool) -> Iterator[str]:
    return first_start.set_up_schema(on_terminal=on_terminal)


def _set_up_contents(found: list[dict[str, Any]]) -> Iterator[str]:
    contacts = [Contact(**{**contact, "identity": Identity(**contact["identity"])}) for contact in found]
    return first_start.set_up_contents(contacts)


PARTS: dict[str, Callable[[Any], Iterator[str]]] = {"schema": _set_up_schema, "contents": _set_up_contents}


def set_up_schema(fork_server: ForkServer | None, say: Callable[[str], None], *, on_terminal: bool) -> Iterator[str]:
    """Yield a line for each step that was done; raise StartError."""
    return _run(fork_server, say, "schema", on_terminal)


def set_up_contents(fork_server: ForkServer | None, say: Callable[[str], None], found: list[Contact]) -> Iterator[str]:
    """Yield a line for each step that was done; raise StartError."""
    return _run(fork_server, say, "contents", [asdict(contact) for contact in found])


def _run(fork_server: ForkServer | None, say: Callable[[str], None], part: str, argument: object) -> Iterator[str]:
    """Run a part in a fork, or here if there is no fork server; say() gets what else it prints."""
    command = ["-m", "config.supervision.aside", part, json.dumps(argument)]
    forked = fork_server and fork_server.fork("start", command, Path(settings.BASE_DIR), signal.SIGTERM)
    if not forked:
        yield from PARTS[part](argument)
        return
    process, output = forked
    with output:
        for raw in output:
            line = raw.decode("utf-8", "replace").rstrip("\n")
            kind, text = _read(line)
            if kind == REFUSAL:
                raise StartError(text)
            if kind == STEP:
                yield text
            else:
                say(line)
    if code := process.wait():
        raise StartError(f"The database could not be set up: that process ended with {code}, see above.")


def _read(line: str) -> tuple[str, str]:
    try:
        kind, text = json.loads(line)
    except ValueError:
        return "", line
    return str(kind), str(text)


def main(part: str, argument: str) -> None:
    """Run a part, and print each step as one line."""
    try:
        for line in PARTS[part](json.loads(argument)):
            print(json.dumps([STEP, line]), flush=True)
    except StartError as error:
        print(json.dumps([REFUSAL, str(error)]), flush=True)
    except DatabaseError as error:
        print(json.dumps([REFUSAL, f"The database refuses: {error}"]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
