"""Readers of a stream, in a separate process: `python -m benchmarks.followers PORT PATH COUNT`.

It prints `following` once every reader has its snapshot. At the end of its input it prints, by version, when each
reader got it.
"""

from __future__ import annotations

import base64
import json
import resource
import selectors
import socket
import sys
import time
from collections import defaultdict

MAX_READ_BYTES = 1 << 18
MAX_OPEN_FILES = 65_536


def main(port: int, path: str, count: int) -> None:
    """Follow until the input ends."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, MAX_OPEN_FILES), hard))
    waiting = selectors.DefaultSelector()
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
        waiting.register(connection, selectors.EVENT_READ, bytearray())
    waiting.register(sys.stdin, selectors.EVENT_READ)
    arrived: dict[bytes, list[float]] = defaultdict(list)
    shown: set[int] = set()
    announced = False
    while True:
        for key, _ in waiting.select():
            if key.fileobj is sys.stdin:
                print(json.dumps(by_version(arrived)))
                return
            take(key, arrived, shown)
            if len(shown) == count and not announced:
                print("following", flush=True)
                announced = True


def take(key: selectors.SelectorKey, arrived: dict[bytes, list[float]], shown: set[int]) -> None:
    """Read what one reader was sent, and note when its ids arrived."""
    assert isinstance(key.fileobj, socket.socket)
    chunk = key.fileobj.recv(MAX_READ_BYTES)
    if not chunk:
        raise ConnectionError("the server closed a stream")
    text: bytearray = key.data
    text += chunk
    *events, rest = text.split(b"\n\n")
    at = time.time()
    for event in events:
        if (place := event.find(b"id: ")) >= 0:
            arrived[bytes(event[place + 4 : event.index(b"\n", place)])].append(at)
            shown.add(key.fd)
    text[:] = rest


def by_version(arrived: dict[bytes, list[float]]) -> dict[int, list[float]]:
    """Return the arrival times of each version's first id; later ids of it only move the watermark."""
    found: dict[int, list[float]] = {}
    for id, times in arrived.items():
        found.setdefault(version_of(id), times)
    return found


def version_of(id: bytes) -> int:
    """Return the version in a cursor."""
    return int(json.loads(base64.urlsafe_b64decode(id + b"=" * (-len(id) % 4)))[1])


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
