"""Print Candlekeep's figures of this machine: `make bench`, or one part: `python -m benchmarks api` (see PARTS)."""

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


def _year() -> list[str]:
    with servers() as home:
        import django

        django.setup()
        from benchmarks import year

        return year.run(home)


def _recovery() -> list[str]:
    from benchmarks import recovery

    return recovery.run()


def _scale() -> list[str]:
    with servers():
        import django

        django.setup()
        from django.core.management import call_command

        from benchmarks import scale
        from tests.support.kafka.server import private_kafka

        call_command("migrate", verbosity=0)
        with private_kafka() as kafka:
            return scale.run(kafka.url)


def _dynamic() -> list[str]:
    with servers():
        import django

        django.setup()
        from django.core.management import call_command

        from benchmarks import dynamic

        call_command("migrate", verbosity=0)
        return dynamic.run()


def _api() -> list[str]:
    from benchmarks import api

    return api.run()


def _sse() -> list[str]:
    with servers():
        import django

        django.setup()
        from django.core.management import call_command

        from benchmarks import sse

        call_command("migrate", verbosity=0)
        return sse.run()


PARTS = {
    "ingest": _ingest,
    "dynamic": _dynamic,
    "latency": _latency,
    "api": _api,
    "sse": _sse,
    "year": _year,
    "recovery": _recovery,
    "scale": _scale,
}


def main() -> None:
    """Run what is named, or all."""
    for name in sys.argv[1:] or PARTS:
        if name not in PARTS:
            sys.exit(f"unknown benchmark {name!r}: one of {', '.join(PARTS)}")
        print("\n".join(PARTS[name]()), flush=True)


if __name__ == "__main__":
    main()
