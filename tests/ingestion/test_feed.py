from __future__ import annotations

import base64
import hashlib
import socket
import threading
import time

from ingestion.feed import Connected, FeedReader

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def greet_and_fall_silent(server: socket.socket, done: threading.Event) -> None:
    """Open one websocket, and then neither send nor answer anything."""
    peer, _ = server.accept()
    request = peer.recv(65_536)
    (key,) = [line.split(b": ")[1] for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")]
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())  # noqa: S324 - the protocol's own
    peer.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    done.wait(30)
    peer.close()


def test_a_silent_peer_does_not_hold_the_end_of_a_connection() -> None:
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        peer = threading.Thread(target=greet_and_fall_silent, args=(server, done))
        peer.start()
        reader = FeedReader(f"ws://127.0.0.1:{server.getsockname()[1]}/", "", b"{}", 100)
        reader.start()
        (connected,) = reader.take(10, 1)
        began = time.monotonic()
        reader.close()
        took = time.monotonic() - began
        done.set()
        peer.join()
    assert isinstance(connected, Connected)
    assert took < 2
