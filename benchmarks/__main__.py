"""Print Candlekeep's measurements on this machine: `make bench`; one part: `python -m benchmarks api` (see PARTS)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module

from benchmarks.servers import servers

# Whether the part runs in this process, on private servers; the others start the whole platform themselves.
PARTS = {
    "ingest": True,
    "ids": True,
    "dynamic": True,
    "latency": True,
    "api": False,
    "question": True,
    "sse": True,
    "pages": False,
    "year": True,
    "formats": True,
    "recovery": False,
    "growth": True,
    "scale": True,
    "rest": False,
    "venues": True,
    "peers": True,
}


def run(name: str) -> Iterator[str]:
    """Run one part; yield the lines to print as soon as they are known."""
    if not PARTS[name]:
        yield from import_module(f"benchmarks.{name}").run()
        return
    with servers():
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        yield from import_module(f"benchmarks.{name}").run()


def main() -> None:
    """Run the named parts, or all."""
    for name in sys.argv[1:] or PARTS:
        if name not in PARTS:
            sys.exit(f"unknown benchmark {name!r}: one of {', '.join(PARTS)}")
        for line in run(name):
            print(line, flush=True)


if __name__ == "__main__":
    main()
