"""docs/follow.py ends where asking again is of no use, and goes on where it is."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.polling import until

pytestmark = pytest.mark.slow

CLIENT = Path(__file__).resolve().parents[2] / "docs" / "follow.py"


def ended(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Return what the client said before it ended, which it has to do by itself."""
    return subprocess.run([sys.executable, str(CLIENT), *arguments], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("arguments", [[], ["http://127.0.0.1:8000"], ["127.0.0.1:8000", "coinbase:BTC-USD", "1m"]])
def test_without_its_arguments_it_says_how_it_is_called(arguments: list[str]) -> None:
    done = ended(*arguments)
    assert done.returncode == 1 and "python docs/follow.py http://" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("market", "timeframe", "reason"), [("coinbase:NOPE-USD", "1m", "NOPE"), ("coinbase:BTC-USD", "7m", "timeframe")]
)
def test_what_is_refused_for_good_ends_it_with_the_reason(
    live_server: Any, market: str, timeframe: str, reason: str
) -> None:
    done = ended(live_server.url, market, timeframe)
    assert done.returncode == 1 and done.stderr.startswith("refused: HTTP Error 40") and reason in done.stderr
    assert "Traceback" not in done.stderr


class Flaky(BaseHTTPRequestHandler):
    """Is away, then cut off in the middle of a chunk, then sends one candle."""

    protocol_version = "HTTP/1.1"
    asked = 0

    def do_GET(self) -> None:
        """Answer the next in turn."""
        type(self).asked += 1
        self.close_connection = True
        if self.asked == 1:
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        event = b'retry: 10\nevent: candle\ndata: [1,"7","7","7","7","1","7",1]\n\n'
        self.wfile.write(b"ff\r\nretry" if self.asked == 2 else b"%x\r\n%b\r\n0\r\n\r\n" % (len(event), event))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def flaky() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Flaky) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_what_passes_is_asked_again_and_an_interrupt_ends_it_quietly(tmp_path: Path) -> None:
    said = tmp_path / "said"
    with flaky() as base, said.open("w") as out:
        command = [sys.executable, "-u", str(CLIENT), base, "coinbase:BTC-USD", "1m"]
        client = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        try:
            until("a candle", lambda: "[1, '7'" in said.read_text(), 60)
            client.send_signal(signal.SIGINT)
            assert client.wait(60) == -signal.SIGINT
        finally:
            client.kill()
            client.wait()
    assert "503" in said.read_text() and "connection lost" in said.read_text()
    assert "Traceback" not in said.read_text()
