"""Print Candlekeep's figures of this machine: `make bench`, or `python -m benchmarks ingest|latency|recovery`."""

from __future__ import annotations

import sys

from benchmarks.servers import servers


def _ingest() -> list[str]:
    with servers():
        import django

        django.setup()
        from django.core.management import call_command

        from benchmarks import ingest

        call_command("migrate", verbosity=0)
        return [*ingest.run(231, 100_000), *ingest.run(23_000, 200_000)]


def _latency() -> list[str]:
    from benchmarks import latency

    return latency.run()


def _recovery() -> list[str]:
    from benchmarks import recovery

    return recovery.run()


PARTS = {"ingest": _ingest, "latency": _latency, "recovery": _recovery}


def main() -> None:
    """Run what is named, or all."""
    for name in sys.argv[1:] or PARTS:
        if name not in PARTS:
            sys.exit(f"unknown benchmark {name!r}: one of {', '.join(PARTS)}")
        print("\n".join(PARTS[name]()), flush=True)


if __name__ == "__main__":
    main()
