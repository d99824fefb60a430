from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from benchmarks.load import Load, generate_load

BODY = b"0" * 5000


class Answers(BaseHTTPRequestHandler):
    """Answers /whole with a length, and anything else in chunks."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        if self.path == "/whole":
            self.send_header("Content-Length", str(len(BODY)))
            self.end_headers()
            self.wfile.write(BODY)
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        last = b"00" if self.path == "/two-digits" else b"0"
        self.wfile.write(b"%x\r\n%b\r\n%b\r\n\r\n" % (len(BODY), BODY, last))

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/whole", "/chunked", "/two-digits"])
def test_whole_answers_are_counted_however_their_end_is_said(port: int, path: str) -> None:
    found = generate_load(Load(port, path, seconds=0.5, connections=2, sample=1))
    assert found.statuses["200"] == len(found.samples) > 0
    assert all(BODY.decode() in body for _, body in found.samples)
