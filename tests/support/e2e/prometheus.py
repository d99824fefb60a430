"""A real Prometheus with deploy/prometheus, which scrapes a platform every second."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from config.supervision.embedded_servers import free_port
from tests.support.config.monitoring_files import ALERTS, program
from tests.support.polling import until


class Prometheus:
    """One that runs."""

    def __init__(self, address: str) -> None:
        self.http = httpx.Client(base_url=f"{address}/api/v1", timeout=10)

    def ask(self, expression: str) -> list[Any]:
        """Return the series of an expression now; fail if it is refused."""
        answer = self.http.get("/query", params={"query": expression})
        assert answer.status_code == 200, f"{expression}: {answer.text}"
        return list(answer.json()["data"]["result"])

    def rules(self) -> list[dict[str, Any]]:
        """Return the alerts as it has computed them."""
        groups = self.http.get("/rules").json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]


@contextmanager
def prometheus(folder: Path, target: str) -> Iterator[Prometheus]:
    """Run one in a folder, at a port of its own."""
    binary, port = program("prometheus"), free_port()
    text = ALERTS.with_name("prometheus.yml").read_text().replace("127.0.0.1:8000", target).replace(": 15s", ": 1s")
    (folder / "prometheus.yml").write_text(text)
    shutil.copy(ALERTS, folder)
    command = [binary, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "log").open("w") as log:
        running = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stderr=log, stdout=log)
        try:
            found = Prometheus(f"http://127.0.0.1:{port}")
            until("Prometheus has scraped", lambda: _ready(found) and found.ask("up == 1"), 60)
            yield found
        finally:
            running.terminate()
            running.wait(30)
            found.http.close()


def _ready(found: Prometheus) -> bool:
    try:
        return found.http.get("/status/runtimeinfo").status_code == 200
    except httpx.TransportError:
        return False
