"""Start a real simulator process and talk to it: for every suite that needs a provider."""

from __future__ import annotations

import json
import signal
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import websocket

from tests.support import forked_python
from tests.support.forked_python import ForkedPython
from tests.support.polling import until

START_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class VenueAddress:
    """What <NAME>_REST_URL and <NAME>_WS_URL take."""

    name: str
    rest_url: str
    ws_url: str

    @property
    def settings(self) -> dict[str, str]:
        """Give the settings that point its provider at it."""
        name = self.name.upper()
        return {f"{name}_REST_URL": self.rest_url, f"{name}_WS_URL": self.ws_url}


@dataclass
class Simulator:
    """A running simulator; `home` holds its log, `output` the lines that it printed."""

    process: ForkedPython
    home: Path
    port: int
    output: list[str] = field(default_factory=list)
    reader: threading.Thread | None = None

    @property
    def rest_url(self) -> str:
        """Give what CRYPTOCOMPARE_REST_URL takes."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        """Give what CRYPTOCOMPARE_WS_URL takes."""
        return f"ws://127.0.0.1:{self.port}/v2"

    def get(self, path: str, **headers: str) -> Any:
        """Ask over HTTP and read the JSON answer, whatever its status."""
        return self.exchange(path, headers=headers)[1]

    def exchange(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any, Any]:
        """Ask over HTTP; returns status, JSON (or text) and headers. With a body it is a POST."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.rest_url + path, data=data, headers=headers or {})  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return answer.status, _read(answer), answer.headers
        except urllib.error.HTTPError as exc:
            with exc:
                return exc.code, _read(exc), exc.headers

    def venue(self, name: str) -> VenueAddress:
        """Give the addresses of a venue that was started with --venues."""
        found = self.get("/control/venues")[name]
        return VenueAddress(name, found["rest_url"], found["ws_url"])

    def fault(self, name: str, **fields: Any) -> Any:
        """Ask for a fault (simulator/control.py; "venues/<name>/<fault>"); raises where it is refused."""
        status, answer, _ = self.exchange(f"/control/{name}", fields)
        assert status == 200, answer
        return answer

    def now(self) -> float:
        """Tell the simulator's time in seconds."""
        return float(self.get("/control/clock")["now_ns"]) / 1e9

    def connect(self, key: str = "", timeout: float = 10) -> Client:
        """Open a WebSocket."""
        url = self.ws_url + (f"?api_key={quote(key)}" if key else "")
        return Client(websocket.create_connection(url, timeout=timeout))

    def sent(self) -> list[dict[str, Any]]:
        """Read the log of what was sent."""
        return read_log(self.home)

    def wait_until(self, moment: float, timeout: float = 60) -> None:
        """Wait for a moment of the simulator's time, in seconds."""
        until("the simulator's clock gets there", lambda: self.now() >= moment, timeout)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Stop the process and give its exit status."""
        self.process.send_signal(how)
        status = self.process.wait(10)
        if self.reader:
            self.reader.join(10)
        return status


class Client:
    """A WebSocket client that reads frames as JSON."""

    def __init__(self, web: websocket.WebSocket) -> None:
        self.web = web

    def ask(self, action: str, *subs: str) -> None:
        """Send SubAdd or SubRemove."""
        self.send(json.dumps({"action": action, "subs": subs}))

    def send(self, text: str) -> None:
        """Send any text."""
        self.web.send(text)

    def text(self) -> str:
        """Read one frame as it came; empty when the connection was closed."""
        received = self.web.recv()
        return received if isinstance(received, str) else received.decode()

    def frame(self) -> dict[str, Any]:
        """Read one frame; numbers that are not whole stay text, so that no digit is lost."""
        return dict(json.loads(self.text(), parse_float=str))

    def until(self, kind: str, most: int = 100_000) -> list[dict[str, Any]]:
        """Read frames up to and with the first of this TYPE."""
        found = [self.frame()]
        while found[-1]["TYPE"] != kind:
            assert len(found) < most, f"no frame of TYPE {kind}"
            found.append(self.frame())
        return found

    def closed(self) -> bool:
        """Read on until the server closes; False when it does not within the time-out."""
        try:
            while self.text():
                pass
        except websocket.WebSocketConnectionClosedException:
            return True
        except (websocket.WebSocketTimeoutException, OSError):
            return False
        return True

    def close(self) -> None:
        """Close the connection, and its socket also where the server closed first."""
        try:
            self.web.close()
        finally:
            self.web.shutdown()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError, websocket.WebSocketException):
            self.close()


def _read(answer: Any) -> Any:
    text = answer.read().decode()
    try:
        return json.loads(text, parse_float=str)
    except ValueError:
        return text


def read_log(home: Path) -> list[dict[str, Any]]:
    """Read a home's sent.jsonl; a line that a kill cut short is left out."""
    lines = (home / "sent.jsonl").read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def start(home: Path, *options: str) -> Simulator:
    """Start `python -m simulator` on a free port (or the given --port) and wait until it answers."""
    process = forked_python.start("-m", "simulator", "--home", str(home), "--port", "0", *options)
    assert process.stdout
    first = process.stdout.readline()
    if " on http://" not in first:
        with process.stdout:
            process.wait(10)
            raise RuntimeError(first + process.stdout.read())
    simulator = Simulator(process, home, int(first.split(" on http://127.0.0.1:")[1].split()[0]))
    # A full pipe would stop the process in the middle of a write.
    simulator.reader = threading.Thread(target=_keep, args=[process.stdout, simulator.output], daemon=True)
    simulator.reader.start()
    _await_answer(simulator)
    return simulator


def _keep(stream: IO[str], lines: list[str]) -> None:
    with stream:
        lines.extend(stream)


def _await_answer(simulator: Simulator) -> None:
    def answers() -> bool:
        assert simulator.process.poll() is None, simulator.output
        with suppress(OSError):
            return bool(simulator.get("/control/clock"))
        return False

    try:
        until("the simulator answers", answers, START_TIMEOUT)
    except AssertionError:
        simulator.process.kill()
        raise


@contextmanager
def running(home: Path, *options: str) -> Iterator[Simulator]:
    """Run a simulator for a test; it is killed if the test has not stopped it."""
    simulator = start(home, *options)
    try:
        yield simulator
    finally:
        if simulator.process.poll() is None:
            simulator.stop(signal.SIGKILL)


@contextmanager
def running_venues(home: Path, markets: str, *options: str) -> Iterator[Simulator]:
    """Run a simulator of these markets, like coinbase:BTC-USD,…, that serves each of their venues, too."""
    venues = dict.fromkeys(market.partition(":")[0] for market in markets.split(","))
    with running(home, "--markets", markets, "--venues", ",".join(venues), *options) as simulator:
        yield simulator
