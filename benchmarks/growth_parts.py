"""The processes beside the load of growth.py, each of which counts what it does: `python -m benchmarks.growth_parts X`.

It prints `ready` once it works. Each line of its input is answered by its counts, as JSON; `end` ends it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from metering.sharing import share_counters

SCAN_EVERY_S = 10.0  # as coordination/schedules.py has it


@dataclass(slots=True)
class Counts:
    """What a consumer did so far; seconds: by part of its batches."""

    batches: int = 0
    records: int = 0
    statements: int = 0
    late: float = 0.0  # seconds from the receipt of each batch's oldest trade until it was stored, added up
    late_batches: int = 0
    cpu: float = 0.0
    backend: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    def since(self, before: Counts) -> Counts:
        """Return what was done after `before`."""
        return Counts(
            self.batches - before.batches,
            self.records - before.records,
            self.statements - before.statements,
            self.late - before.late,
            self.late_batches - before.late_batches,
            self.cpu - before.cpu,
            self.backend,
            {name: seconds - before.seconds.get(name, 0.0) for name, seconds in self.seconds.items()},
        )


def consume(stop: threading.Event, counts: Counts) -> None:
    """Run the consumer of the fixed topic of trades."""
    from django.db import connection

    from actor_runtime.loop.runner import Runner
    from consumers.fixed_consumer_actor import FixedTopicWork

    def counted(execute: Callable[..., Any], *arguments: Any) -> Any:
        counts.statements += 1
        return execute(*arguments)

    runner = Runner(FixedTopicWork("tick-data"), stop)
    with connection.execute_wrapper(counted):
        while not stop.is_set():
            stop.wait(runner.step())
            if not counts.backend and connection.connection:
                counts.backend = connection.connection.info.backend_pid
        runner.end()


def scan(stop: threading.Event, counts: Counts) -> None:
    """Scan for gaps as often as the platform does."""
    from datastore.tasks import scan_gaps

    while not stop.wait(SCAN_EVERY_S):
        scan_gaps()
        counts.batches += 1


def measured(counts: Counts) -> Counts:
    """Return the counts with what this process's metrics say."""
    from metering.table import BATCH_RECORDS, BATCH_SECONDS, LATENESS

    for counter in (BATCH_RECORDS, BATCH_SECONDS, LATENESS):
        for sample in next(iter(counter.collect())).samples:
            if sample.name == "candlekeep_batch_seconds_sum":
                counts.seconds[sample.labels["part"]] = sample.value
            elif sample.name == "candlekeep_batch_records_count":
                counts.batches = int(sample.value)
            elif sample.name == "candlekeep_batch_records_sum":
                counts.records = int(sample.value)
            elif sample.name == "candlekeep_trade_lateness_seconds_sum" and sample.labels["stage"] == "store":
                counts.late = sample.value
            elif sample.name == "candlekeep_trade_lateness_seconds_count" and sample.labels["stage"] == "store":
                counts.late_batches = int(sample.value)
    used = os.times()
    counts.cpu = used.user + used.system
    return counts


def main(name: str) -> None:
    """Run the part of this name until its input says `end`."""
    import django

    share_counters(Path(os.environ["CANDLEKEEP_HOME"]) / f"metrics-{os.getpid()}")
    django.setup()
    stop, counts = threading.Event(), Counts()
    work = threading.Thread(target={"consume": consume, "scan": scan}[name], args=(stop, counts))
    work.start()
    while name == "consume" and not counts.backend and work.is_alive():
        time.sleep(0.05)
    print("ready", flush=True)
    with suppress(BrokenPipeError):
        for line in sys.stdin:
            if line.strip() == "end":
                break
            print(json.dumps(asdict(measured(counts))), flush=True)
    stop.set()
    work.join()


if __name__ == "__main__":
    main(sys.argv[1])
