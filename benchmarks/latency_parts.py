"""The live Producer and the consumer of trades, each noting when a trade of one market passes it.

`python -m benchmarks.latency_parts produce|consume MARKET` runs one, prints `ready`, and at a line of its input prints
what it noted as JSON: by stage, lists of (ns, the newest trade's id that had passed it by then).
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

Noted = defaultdict[str, list[tuple[int, int]]]
WIRE_ID = re.compile(rb'"id":"(\d+)"')  # of our record
FRAME_ID = re.compile(rb'"ID":"(\d+)"')  # of the provider's frame


def newest(values: Sequence[bytes], pattern: re.Pattern[bytes]) -> int:
    """Return the greatest id of these texts, 0 if there is none."""
    return max((int(found[1]) for value in values if (found := pattern.search(value))), default=0)


def then_note(noted: Noted, stage: str, function: Callable[..., Any], find: Callable[..., int]) -> Callable[..., Any]:
    """Return the function, which then notes at a stage the id that find(its result, its arguments) returns."""

    def call(*arguments: Any) -> Any:
        found = function(*arguments)
        if trade := find(found, *arguments):
            noted[stage].append((time.time_ns(), trade))
        return found

    return call


def produce(stop: threading.Event, noted: Noted, market: str) -> None:
    """Run the live Producer of CryptoCompare."""
    from actor_runtime.loop.runner import Runner
    from ingestion.live.live_producer_actor import LiveProducer
    from ingestion.live.publish_buffer import PublishBuffer
    from ingestion.live.socket_reader import Frame, SocketReader
    from ingestion.providers.table import PROVIDERS
    from streaming.records import Trade

    base = f'"FSYM":"{market.partition(":")[2].partition("-")[0]}"'.encode()
    cls: Any = SocketReader
    is_ours: Callable[[Any], list[bytes]] = lambda one: [one.raw] if isinstance(one, Frame) and base in one.raw else []  # noqa: E731
    cls._put = then_note(noted, "received", cls._put, lambda _, reader, one: newest(is_ours(one), FRAME_ID))

    def of_records(found: Any, *_: Any) -> int:
        ids = [int(one.id) for _, records in found for one in records if type(one) is Trade and one.market == market]
        return max(ids, default=0)

    buffer: Any = PublishBuffer
    buffer.take_acknowledged = then_note(noted, "in the stream", buffer.take_acknowledged, of_records)
    runner = Runner(LiveProducer(PROVIDERS["cryptocompare"]), stop)
    while not stop.is_set():
        stop.wait(runner.step())
    runner.end()


def consume(stop: threading.Event, noted: Noted, market: str) -> None:
    """Run the consumer of the fixed topic of trades."""
    from actor_runtime.loop.runner import Runner
    from consumers.fixed_consumer_actor import FixedTopicWork

    work: Any = FixedTopicWork("tick-data")
    last = 0

    def of_poll(records: Any) -> int:
        nonlocal last
        last = newest([one.value for one in records if one.key == market], WIRE_ID) or last
        return last if records else 0

    work._poll = then_note(noted, "read", work._poll, of_poll)
    work._write = then_note(noted, "in the database", work._write, lambda *_: last)
    work._update_cache = then_note(noted, "in the cache", work._update_cache, lambda *_: last)
    runner = Runner(work, stop)
    while not stop.is_set():
        stop.wait(runner.step())
    runner.end()


def main(name: str, market: str) -> None:
    """Run the part of this name until its input says so."""
    import django

    django.setup()
    stop, noted = threading.Event(), Noted(list)
    part = {"produce": produce, "consume": consume}[name]
    work = threading.Thread(target=part, args=(stop, noted, market))
    work.start()
    print("ready", flush=True)
    sys.stdin.readline()
    stop.set()
    work.join()
    print(json.dumps(noted))


if __name__ == "__main__":
    main(*sys.argv[1:])
