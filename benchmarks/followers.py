"""Readers of a stream in a process of their own: `python -m benchmarks.followers PORT PATH COUNT`.

Says `following` once each was shown its snapshot. At the end of its input it prints, by version, when each reader got
it.
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

ROOM = 1 << 18  # bytes taken at once
MOST_FILES = 65_536


def main(port: int, path: str, count: int) -> None:
    """Follow until the input ends."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard < MOST_FILES else MOST_FILES, hard))
    waiting = selectors.DefaultSelector()
    for _ in range(count):
        line = socket.create_connection(("127.0.0.1", port))
        line.sendall(f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
        waiting.register(line, selectors.EVENT_READ, bytearray())
    waiting.register(sys.stdin, selectors.EVENT_READ)
    arrived: dict[bytes, list[float]] = defaultdict(list)
    shown: set[int] = set()
    told = False
    while True:
        for key, _ in waiting.select():
            if key.fileobj is sys.stdin:
                print(json.dumps(by_version(arrived)))
                return
            take(key, arrived, shown)
            if len(shown) == count and not told:
                print("following", flush=True)
                told = True


def take(key: selectors.SelectorKey, arrived: dict[bytes, list[float]], shown: set[int]) -> None:
    """Take what has come to one reader, and note the ids in it."""
    assert isinstance(key.fileobj, socket.socket)
    chunk = key.fileobj.recv(ROOM)
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
    """Return the times of each version's first id: a later one only tells how far the watermark has come since."""
    found: dict[int, list[float]] = {}
    for id, times in arrived.items():
        found.setdefault(version_of(id), times)
    return found


def version_of(id: bytes) -> int:
    """Return the version in a cursor."""
    return int(json.loads(base64.urlsafe_b64decode(id + b"=" * (-len(id) % 4)))[1])


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
