from __future__ import annotations

import socket
import threading
import time

from ingestion.live.socket_reader import Connected, SocketReader
from tests.support.ingestion.sockets import greet


def greet_and_fall_silent(server: socket.socket, done: threading.Event) -> None:
    """Open one websocket, and then neither send nor answer anything."""
    peer = greet(server)
    done.wait(30)
    peer.close()


def test_a_silent_peer_does_not_hold_the_end_of_a_connection() -> None:
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        peer = threading.Thread(target=greet_and_fall_silent, args=(server, done))
        peer.start()
        reader = SocketReader(f"ws://127.0.0.1:{server.getsockname()[1]}/", {}, [b"{}"], 100)
        reader.start()
        (connected,) = reader.take(10, 1)
        began = time.monotonic()
        reader.close()
        took = time.monotonic() - began
        done.set()
        peer.join()
    assert isinstance(connected, Connected)
    assert took < 2


def test_a_frame_is_sent_at_once_though_the_reader_waits_for_one() -> None:
    found: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        peer = threading.Thread(target=lambda: found.append(greet(server)))
        peer.start()
        reader = SocketReader(f"ws://127.0.0.1:{server.getsockname()[1]}/", {}, [b"{}"], 100)
        assert not reader.send(b"before it is open")
        reader.start()
        assert len(reader.take(10, 1)) == 1
        peer.join()
        found[0].settimeout(5)
        began = time.monotonic()
        assert reader.send(b"x" * 50)
        assert len(received(found[0], 8 + 56)) >= 8 + 56  # the subscription and ours, both masked
        assert time.monotonic() - began < 2
        reader.close()
        assert not reader.send(b"after its end")
        found[0].close()


def received(peer: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        got += peer.recv(4096)
    return got
