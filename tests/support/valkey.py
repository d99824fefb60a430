"""A private Valkey that a test may kill, stop, freeze and start again."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from config.supervision import embedded_servers
from tests.support.polling import until


class PrivateValkey:
    """One server on a port of its own; it keeps port, password and data over a restart."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = embedded_servers.free_port()
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return the redis:// URL with its password."""
        return embedded_servers.valkey_url(self.home, self.port)

    @property
    def pid(self) -> int:
        """Return the process id of the running server."""
        assert self._child, "the server does not run"
        return self._child.pid

    def client(self) -> redis.Redis:
        """Return a client for the test's own questions; close it."""
        return redis.Redis.from_url(self.url)

    def start(self, seconds: float = 20) -> None:
        """Start the server unless it runs, and return when it answers."""
        if self._child:
            return
        self._child = embedded_servers.spawn(embedded_servers.valkey_command(self.home, self.port))
        until("Valkey answers", self._answers, seconds)

    def kill(self) -> None:
        """Kill the server at once (-9); what it wrote to its append-only file stays."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop the server in the ordinary way, if it runs."""
        if self._child:
            self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """Stop the server's execution (SIGSTOP): connections stand, nothing answers."""
        assert self._child
        self._child.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        if self._child:
            self._child.send_signal(signal.SIGCONT)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Freeze the server for the length of the block."""
        self.freeze()
        try:
            yield
        finally:
            self.thaw()

    def configure(self, **settings: str | int) -> None:
        """Change settings of the running server; underscores stand for dashes."""
        with self.client() as client:
            for name, value in settings.items():
                client.config_set(name.replace("_", "-"), value)

    def flush(self) -> None:
        """Remove everything the server holds."""
        with self.client() as client:
            client.flushall()

    def _answers(self) -> bool:
        assert self._child and self._child.poll() is None, (self.home / "log" / "valkey.log").read_text()[-2000:]
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def _end(self, how: signal.Signals) -> None:
        assert self._child
        self._child.send_signal(how)
        self._child.wait(timeout=20)
        self._child = None


def unreachable_valkey() -> redis.Redis:
    """Return a client of a port where nobody listens; it says so at the first attempt."""
    return redis.Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0))


@contextmanager
def private_valkey(*, start: bool = True) -> Iterator[PrivateValkey]:
    """Give a private server in a folder of its own; at the end both are gone."""
    server = PrivateValkey(Path(tempfile.mkdtemp(prefix="ck-valkey-")))
    try:
        if start:
            server.start()
        yield server
    finally:
        server.thaw()
        server.stop()
        shutil.rmtree(server.home, ignore_errors=True)
