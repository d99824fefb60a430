"""Our own consumer of trades: the stream that STREAM_URL names into candles with their certificate."""

from __future__ import annotations

from threading import Event

import django

from benchmarks.peer_programs.gate import note_began, wait_for_start
from streaming.topics import TICK_DATA


def main() -> None:
    """Store until stopped."""
    django.setup()
    from actor_runtime.loop.runner import Runner
    from consumers.fixed_consumer_actor import FixedTopicWork

    runner = Runner(FixedTopicWork(TICK_DATA.name), Event())
    while runner.loop is None:
        runner.step()  # only claims the actor's row
    wait_for_start("django", "psycopg", "redis", "kafka-python", "hiredis", "msgspec")
    note_began()
    while True:
        runner.step()


if __name__ == "__main__":
    main()
