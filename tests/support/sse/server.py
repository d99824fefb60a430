"""A stream process inside the test's own, and readers of it that come, go and come again."""

from __future__ import annotations

import asyncio
import random
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import Any

import httpx

from datastore.sse.connections import AbortableConnection
from datastore.sse.hub import Hub
from datastore.sse.server import StreamServer, listening_socket, make_server
from tests.support.polling import until
from tests.support.sse.event_log import CLOSED, REVISION, SOURCE, TRADES, ClientSeries, Reader, StreamEvent

AGAIN = 0.1  # seconds


@contextmanager
def streaming(settings: Any, port: int = 0, **spans: float) -> Iterator[StreamServer]:
    """Serve streams at a free port, or this one, to which the API leads."""
    ready: list[StreamServer] = []
    sock = listening_socket("127.0.0.1", port)
    settings.SSE_PORT = sock.getsockname()[1]

    def run() -> None:
        async def served() -> None:
            ready.append(make_server(Hub(**spans)))
            await ready[0].serve([sock])

        asyncio.run(served())

    thread = Thread(target=run)
    thread.start()
    until("the stream process listens", lambda: ready and ready[0].started, 30)
    try:
        yield ready[0]
    finally:
        ready[0].handle_exit(signal.SIGTERM, None)
        thread.join(30)
        assert not thread.is_alive(), "the stream process does not end"
        assert AbortableConnection.open == {}


class Watcher:
    """Reads a stream in a thread, and loses the connection again and again if it is asked to."""

    def __init__(self, base: str, timeframe: str, market: str, order: random.Random | None = None, **more: str) -> None:
        self.base, self.order, self.query = base, order, {"market": market, "timeframe": timeframe, **more}
        self.series = ClientSeries()
        self.told: list[StreamEvent] = []
        self.connections = 0
        self.heartbeats = 0
        self.failures: list[str] = []
        self._stop = Event()
        self._socket: socket.socket | None = None
        self._thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._socket:
            with suppress(OSError):  # the thread has closed it already
                self._socket.shutdown(socket.SHUT_RDWR)  # ends a read that waits for the next event
        self._thread.join(30)
        assert not self._thread.is_alive()
        assert self.failures == []

    def _watch(self) -> None:
        try:
            # Without certificates, which no http address has: to read them takes as long as many connections.
            with httpx.Client(base_url=self.base, follow_redirects=True, timeout=5, verify=False) as client:  # noqa: S501
                while not self._stop.is_set():
                    with suppress(httpx.TransportError):
                        self._connect(client)
                    self._stop.wait(AGAIN)
        except AssertionError as exc:
            self.failures.append(str(exc))

    def _connect(self, client: httpx.Client) -> None:
        reader, left = Reader(), self._breaks_after()
        headers = {"Last-Event-ID": self.series.cursor} if self.series.cursor else {}
        with client.stream("GET", "/api/v1/candles/stream", params=self.query, headers=headers) as answer:
            assert answer.status_code == 200, answer.read()
            self.connections += 1
            self._socket = answer.extensions["network_stream"].get_extra_info("socket")
            for chunk in answer.iter_raw():
                taken = chunk if left is None else chunk[:left]
                for told in reader.feed(taken):
                    self._take(told)
                self.heartbeats += reader.heartbeats
                reader.heartbeats = 0
                # Behind the first snapshot, which a reader who broke off each time would never have.
                left = self._breaks_after() if left is None else left - len(taken)
                if self._stop.is_set() or left == 0:
                    return

    def _breaks_after(self) -> int | None:
        """Return after how many further bytes the connection is lost, None: not now."""
        return self.order.randrange(1, 1_500) if self.order and self.series.cursor else None

    def _take(self, told: StreamEvent) -> None:
        if told.name == "candle" and told.data[TRADES] and told.data[0] in self.series.rows:
            before = self.series.rows[told.data[0]]
            if before[SOURCE] == told.data[SOURCE] == "live":  # of others, the provider's answer may take trades away
                assert before[REVISION] <= told.data[REVISION], f"older after newer: {before} {told.data}"
                assert before[CLOSED] <= told.data[CLOSED], f"opened again: {before} {told.data}"
        self.series.take(told)
        self.told.append(told)
