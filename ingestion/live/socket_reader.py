"""The socket reader: a thread that answers pings and puts what arrives into a bounded queue.

A second one sends what we say, at the pace that the provider allows: who says it never waits.
"""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue

import websocket

from datastore.reference.traits import CallWindow
from ingestion.live.clock_estimate import boot_seconds
from streaming.ends import EndCode

CONNECT_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Connected:
    """The socket is open; `date` is the HTTP header that the handshake's answer brought, if any."""

    at: float  # seconds since this machine's boot, here and below
    date: str | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """One data frame."""

    at: float
    raw: bytes


@dataclass(frozen=True, slots=True)
class SocketLost:
    """The socket is gone for good; `code` is the HTTP status if the handshake was refused, `end` the kind of reason."""

    at: float
    reason: str
    code: int | None = None
    end: EndCode = EndCode.SOCKET
    retry_after: float | None = None  # seconds that the provider wants us to wait


Arrival = Connected | Frame | SocketLost


class SocketReader:
    """Read one connection; a new one needs a new reader."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        subscribe: Sequence[bytes],
        capacity: int,
        messages: CallWindow | None = None,
        ready: threading.Event | None = None,
    ) -> None:
        """Prepare a reader that subscribes with these frames and holds at most `capacity` frames.

        messages: how many frames the provider takes of us. ready: is set when something arrives.
        """
        self._url, self._capacity = url, capacity
        self._outgoing: SimpleQueue[bytes | None] = SimpleQueue()  # None: nothing more is sent
        for message in subscribe:
            self._outgoing.put(message)
        # Half of what is allowed: pongs, and what is sent later, count too.
        self._send_gap = 0.0 if messages is None else 2 * messages.seconds / messages.limit
        self._headers = dict(headers)
        self._arrivals: deque[Arrival] = deque()
        self._ready = ready or threading.Event()
        self._closing = threading.Event()
        self._socket: websocket.WebSocket | None = None
        self.last_arrival = boot_seconds()
        self._thread = threading.Thread(target=self._run, name="feed-reader", daemon=True)

    def start(self) -> None:
        """Connect in the background."""
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Return how many arrivals wait to be taken."""
        return len(self._arrivals)

    def take(self, timeout: float, limit: int) -> list[Arrival]:
        """Return up to `limit` arrivals in order, waiting at most `timeout` seconds for the first."""
        if not self._arrivals:
            self._ready.wait(timeout)
        self._ready.clear()
        # Only the calling thread removes, so the length is safe to rely on.
        return [self._arrivals.popleft() for _ in range(min(limit, len(self._arrivals)))]

    def send(self, message: bytes) -> bool:
        """Send a frame on the open socket, behind those that wait; False if it is not open.

        Where sending fails, the connection is lost.
        """
        if self._socket is None or self._closing.is_set():
            return False
        self._outgoing.put(message)
        return True

    def close(self) -> None:
        """Close the socket and end the thread."""
        self._closing.set()
        self._outgoing.put(None)
        if (connection := self._socket) is not None:
            # Not connection.close(): it waits for the lock that the thread holds while it waits for a frame, and a peer
            # that is gone sends none.
            sock = connection.sock
            with suppress(OSError, AttributeError, websocket.WebSocketException):
                connection.settimeout(1)
                connection.send_close()
            if sock is not None:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=2)

    def _run(self) -> None:
        try:
            self._read()
        except websocket.WebSocketBadStatusException as exc:
            asked = (exc.resp_headers or {}).get("retry-after", "")
            retry_after = float(asked) if asked.isascii() and asked.isdecimal() else None
            self._put(
                SocketLost(
                    boot_seconds(),
                    f"the provider answers HTTP {exc.status_code}",
                    exc.status_code,
                    retry_after=retry_after,
                )
            )
        except (OSError, ValueError, AttributeError, websocket.WebSocketException) as exc:
            self._put(SocketLost(boot_seconds(), f"socket lost: {type(exc).__name__}: {exc}"[:200]))
        finally:
            if self._socket is not None:
                self._socket.shutdown()

    def _read(self) -> None:
        self._socket = websocket.create_connection(
            self._url,
            timeout=CONNECT_TIMEOUT_S,
            header=self._headers,
            enable_multithread=True,
            skip_utf8_validation=True,
        )
        headers = self._socket.getheaders() or {}
        self._put(Connected(boot_seconds(), headers.get("date")))
        threading.Thread(target=self._write, args=[self._socket], name="feed-writer", daemon=True).start()
        while not self._closing.is_set():
            try:
                opcode, data = self._socket.recv_data(control_frame=True)  # a ping is answered before it is returned
            except websocket.WebSocketTimeoutException:
                continue  # a quiet feed; the connection judges whether it has stalled
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                self._put(SocketLost(boot_seconds(), "the provider closed the socket"))
                return
            if opcode in (websocket.ABNF.OPCODE_PING, websocket.ABNF.OPCODE_PONG):
                self.last_arrival = boot_seconds()
                continue
            if not self._put(Frame(boot_seconds(), data)):
                return

    def _write(self, connection: websocket.WebSocket) -> None:
        """Send what waits, one frame after another; writing and reading have locks of their own."""
        while (message := self._outgoing.get()) is not None and not self._closing.is_set():
            try:
                connection.send(message)
            except (OSError, AttributeError, websocket.WebSocketException) as exc:
                if not self._closing.is_set():
                    self._put(SocketLost(boot_seconds(), f"a frame could not be sent: {type(exc).__name__}"))
                return
            if self._closing.wait(self._send_gap):
                return

    def _put(self, arrival: Arrival) -> bool:
        self.last_arrival = arrival.at
        full = len(self._arrivals) >= self._capacity and isinstance(arrival, Frame)
        self._arrivals.append(SocketLost(arrival.at, "reader queue full") if full else arrival)
        self._ready.set()
        return not full
