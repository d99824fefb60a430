"""Pytest plugin: a private PostgreSQL and Valkey for this run, started before Django reads its settings."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
import redis

from config import embedded

# Durability is the operating system's business: a test run need not wait for the disk.
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=128MB", "max_connections=200")
HOME = Path(tempfile.mkdtemp(prefix="ck-test-"))


def _await(probe: object, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            probe()  # type: ignore[operator]
            return
        except (psycopg.OperationalError, redis.RedisError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _start() -> list[subprocess.Popen[bytes]]:
    HOME.chmod(0o755)
    embedded.prepare_postgres(HOME)
    port = embedded.free_port()
    children = [
        embedded.spawn(embedded.postgres_command(HOME, *FAST)),
        embedded.spawn(embedded.valkey_command(HOME, port)),
    ]
    admin_url = embedded.postgres_url(HOME, "postgres")
    _await(lambda: psycopg.connect(admin_url).close())
    valkey = redis.Redis.from_url(embedded.valkey_url(HOME, port))
    _await(valkey.ping)
    valkey.close()
    os.environ.update(
        CANDLEKEEP_HOME=str(HOME),
        DATABASE_URL=embedded.postgres_url(HOME, "postgres"),
        REDIS_URL=embedded.valkey_url(HOME, port),
        SECRET_KEY="tests",
        LOG_FORMAT="text",
    )
    for name in ("STREAM_URL", "CRYPTOCOMPARE_REST_URL", "CRYPTOCOMPARE_WS_URL", "CRYPTOCOMPARE_API_KEY"):
        os.environ.pop(name, None)
    return children


_children = _start()


def pytest_unconfigure() -> None:
    """Stop the servers and remove their folder."""
    for child in _children:
        child.send_signal(signal.SIGINT)
    for child in _children:
        child.wait(timeout=20)
    shutil.rmtree(HOME, ignore_errors=True)
