"""The web process's listener: a client that stays connected there has to read."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from config.supervision import web
from config.supervision.embedded_servers import free_port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds how long a window may stay closed")


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The listener that the worker takes, whose bound is half a second here."""
    monkeypatch.setattr(web, "MAX_UNREAD_MS", 500)
    server: Any = web.WebServer.__new__(web.WebServer)
    server.bind_uds, server.bind_addr, server.bind_port, server.backlog = None, "127.0.0.1", free_port(), 128
    server._shd = None
    server._init_shared_socket()
    server._sso.listen()  # as the worker does
    server._sso.settimeout(20)
    yield server._sso
    server._drop_shared_socket()


def test_a_reader_that_stays_and_takes_nothing_is_cut_off(listener: socket.socket) -> None:
    with socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(100)
            with pytest.raises(TimeoutError, match="timed out") as caught:
                while True:
                    connection.sendall(bytes(1_000_000))
    assert caught.value.errno, "by the kernel, not by the test's own deadline"
