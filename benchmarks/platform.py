"""The whole platform on its simulator, for a benchmark, in a temporary folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from config.supervision.embedded_servers import free_port
from tests.support.polling import until

START_TIMEOUT_S = 300.0


@contextmanager
def temporary_home() -> Iterator[Path]:
    """Create a folder for a platform, and remove it at the end."""
    home = Path(tempfile.mkdtemp(prefix="ck-bench-"))
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def running(home: Path, markets: Sequence[str], simulator: str = "") -> Iterator[httpx.Client]:
    """Run `manage.py up` in a folder, with these options for its simulator; yield a client once it is ready."""
    port = free_port()
    ports = {"PORT": str(port), "SSE_PORT": str(free_port())}
    own = {**ports, "CANDLEKEEP_HOME": str(home), "MARKETS": ",".join(markets), "SIMULATOR_ARGS": simulator}
    command = [sys.executable, "manage.py", "up"]
    silent = {"stdout": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
    up = subprocess.Popen(command, env={**os.environ, **own}, **silent)  # type: ignore[call-overload]
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            until("the platform is ready", lambda: _is_ready(client), START_TIMEOUT_S)
            yield client
    finally:
        up.send_signal(signal.SIGINT)
        up.wait(timeout=60)


def _is_ready(client: httpx.Client) -> bool:
    with suppress(httpx.TransportError):
        return client.get("/health/ready").status_code == 200
    return False
