"""Batches of trades out of a Redis stream by a consumer group, acknowledged once they are stored."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import redis

from benchmarks.peer_programs.gate import note_began

KEY, GROUP, READER = "candlekeep:topic:tick-data", "peer", "one"
BLOCK_MS = 1000


def trades(decode: Callable[[bytes], Any], most: int) -> Iterator[list[Any]]:
    """Yield the trades of up to `most` records, for ever; what was yielded is acknowledged when more is asked for."""
    client: Any = redis.Redis.from_url(os.environ["STREAM_URL"])  # its answers have too many types
    client.xgroup_create(KEY, GROUP, id="0")
    has_begun = False
    while True:
        found = client.xreadgroup(GROUP, READER, {KEY: ">"}, count=most, block=BLOCK_MS)
        if not found:
            continue
        if not has_begun:
            note_began()
            has_begun = True
        ((_, entries),) = found.items() if isinstance(found, dict) else found
        records = [decode(fields[b"v"]) for _, fields in entries]
        yield [record for record in records if record["type"] == "trade"]
        client.xack(KEY, GROUP, *(position for position, _ in entries))
