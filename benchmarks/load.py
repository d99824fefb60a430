"""A load generator in a separate process: `python -m benchmarks.load`, which reads its Load as JSON from stdin.

It uses plain sockets in one thread, so that its own cost on the measured machine is small and the same for all.
"""

from __future__ import annotations

import json
import selectors
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from statistics import quantiles

MAX_ANSWER_BYTES, MAX_HEAD_BYTES = 4 << 20, 4096
CHUNKED, END = (
    b"transfer-encoding: chunked",
    b"0\r\n\r\n",
)  # of an answer in chunks; its last chunk


@dataclass(frozen=True, slots=True)
class Load:
    """Request `path` over some connections for some seconds; {n} in it is the request's number from `first` on."""

    port: int
    path: str
    seconds: float = 5.0
    connections: int = 8
    headers: dict[str, str] = field(default_factory=dict)
    first: int = 0
    sample: int = 0  # one answer in so many is kept with its time; 0: none


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What came back: answers a second, milliseconds, statuses, and the kept answers (wall time, body)."""

    rate: float
    p50: float
    p99: float
    statuses: dict[str, int]
    samples: list[tuple[float, str]]

    def __str__(self) -> str:
        return f"{self.rate:,.0f} requests/s, p50 {self.p50:.1f} ms, p99 {self.p99:.1f} ms"


def generate_load(load: Load) -> LoadResult:
    """Generate the load in another process and return the result; raise RuntimeError if an answer was not 200."""
    command = [sys.executable, "-m", "benchmarks.load"]
    done = subprocess.run(command, input=json.dumps(asdict(load)), stdout=subprocess.PIPE, text=True, check=True)
    result = LoadResult(**json.loads(done.stdout))
    if set(result.statuses) != {"200"}:
        raise RuntimeError(f"{load.path}: answers {result.statuses}")
    return result


class _Connection:
    """One connection with one request under way; each answer is received into the same buffer, without a copy."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self.socket = socket.create_connection(("127.0.0.1", load.port))
        self._buffer = memoryview(bytearray(MAX_ANSWER_BYTES))
        self._got = self._length = 0  # bytes so far, and of the whole answer (0 until its head is complete)
        self.sent_at = 0.0

    def send(self, number: int) -> None:
        path = self._load.path.replace("{n}", str(number))
        lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in self._load.headers.items()]
        self._got = self._length = 0
        self.sent_at = time.perf_counter()
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())

    def read(self) -> memoryview | None:
        """Read what has arrived; return the answer once it is complete. It is valid until the next request."""
        received = self.socket.recv_into(self._buffer[self._got :])
        if not received:
            raise ConnectionError("the server closed the connection")
        self._got += received
        if not self._length:
            head, found, _ = bytes(self._buffer[: min(self._got, MAX_HEAD_BYTES)]).partition(b"\r\n\r\n")
            if found and CHUNKED in head.lower():
                return self._buffer[: self._got] if self._buffer[self._got - len(END) : self._got] == END else None
            self._length = len(head) + 4 + _content_length(head) if found else 0
        return self._buffer[: self._got] if self._length and self._got >= self._length else None


def _content_length(head: bytes) -> int:
    lines = (line.partition(b":") for line in head.lower().split(b"\r\n"))
    return next((int(value) for name, _, value in lines if name == b"content-length"), 0)


def _measure(load: Load) -> LoadResult:
    times: list[float] = []
    statuses: dict[str, int] = {}
    samples: list[tuple[float, str]] = []
    waiting = selectors.DefaultSelector()
    for number in range(load.first, load.first + load.connections):
        connection = _Connection(load)
        waiting.register(connection.socket, selectors.EVENT_READ, connection)
        connection.send(number)
    began, number = time.perf_counter(), load.first + load.connections
    while time.perf_counter() - began < load.seconds:
        for key, _ in waiting.select(timeout=1):
            if (answer := key.data.read()) is None:
                continue
            times.append(time.perf_counter() - key.data.sent_at)
            status = bytes(answer[9:12]).decode()
            statuses[status] = statuses.get(status, 0) + 1
            if load.sample and len(times) % load.sample == 0:
                samples.append((time.time(), bytes(answer).partition(b"\r\n\r\n")[2].decode()))
            key.data.send(number)
            number += 1
    took, cuts = time.perf_counter() - began, quantiles(times, n=100)
    return LoadResult(len(times) / took, cuts[49] * 1000, cuts[98] * 1000, statuses, samples)


if __name__ == "__main__":
    print(json.dumps(asdict(_measure(Load(**json.load(sys.stdin))))))
