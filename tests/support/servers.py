"""Pytest plugin: a private PostgreSQL and Valkey for this run, started before Django reads its settings."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from config import kafka_settings
from config.provider_settings import DEFAULT_MARKETS, host_settings
from config.supervision import embedded_servers
from config.supervision.child import Child, Program
from config.supervision.output import Output
from config.supervision.servers import database_refusal, postgres_program, valkey_program, valkey_refusal
from tests.support import forked_python
from tests.support.polling import until
from tests.support.streaming import memory

# Durability is the operating system's business: a test run need not wait for the disk.
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=128MB", "max_connections=200")
HOME = Path(tempfile.mkdtemp(prefix="ck-test-"))
# Processes that share the tests of one run inherit the folder of the one that started them.
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["TESTS_RUN_HOME"] = str(HOME)
RUN_HOME = Path(os.environ["TESTS_RUN_HOME"])
# Tests set what they need; the developer's own environment must not leak into them.
PRODUCT_SETTINGS = (
    *kafka_settings.NAMES,
    "HOST",
    "PORT",
    "SSE_PORT",
    "SSE_URL",
    "MARKETS",
    "STREAM_URL",
    "SIMULATOR_ARGS",
    "SIMULATOR_PORT",
    "VALKEY_PORT",
    "DATABASE_POOL",
    "LIVE",
    "PROVIDERS",
    "LIVE_COPIES",
    *(name for provider in DEFAULT_MARKETS for name in host_settings(provider)),
    "CRYPTOCOMPARE_API_KEY",
    "ADMIN_PASSWORD",
    "DEBUG",
    "ALLOWED_HOSTS",
    "PUBLIC_URL",
    "GRACE",
    "STALE_AFTER",
    "READER_QUEUE",
    "PRODUCER_POOL",
    "PROVIDER_CALLS_PER_SECOND",
    "PROVIDER_CALLS_PER_MINUTE",
    "PROVIDER_CALLS_PER_HOUR",
    "PROVIDER_CALLS_PER_DAY",
    "STREAM_MAXLEN",
    "STREAM_LEASE",
    "MAX_STREAMS",
    "TICK_RETENTION_DAYS",
    "REQUIRE_API_KEY",
    "TRUSTED_PROXIES",
    "RATE_LIMIT_PER_ADDRESS",
    "RATE_LIMIT_PER_KEY",
    "FETCH_BUDGET_PER_ADDRESS",
    "FETCH_BUDGET_PER_KEY",
    "CORS_ORIGINS",
    "METRICS_DIR",
    "KAFKA_REPLICATION_FACTOR",
)


def _await(child: Child, refusal: Callable[[], str | None], seconds: float = 60) -> None:
    """Wait until a server answers; with one that does not, or that has died, goes what it said last."""
    try:
        until(child.program.name, lambda: not child.alive or not refusal(), seconds)
        assert child.alive, f"{child.program.name} died"
    except AssertionError as failure:
        child.output.finish()
        raise RuntimeError("\n".join([str(failure), str(refusal()), *child.output.last])) from None


def _start(program: Program) -> Child:
    child = Child(program, Output(program.name, HOME / "log" / f"{program.name}.log", None))
    # It dies with this process, however that ends: a killed test run leaves no server behind.
    child.start()
    return child


def _start_postgres() -> tuple[str, list[Child]]:
    """Return the address of a database of our own, or of the one that TIMESCALE_URL names, if it is to serve all."""
    if "TESTS_ON_TIMESCALE" in os.environ and (elsewhere := os.environ.get("TIMESCALE_URL")):
        return elsewhere, []
    embedded_servers.prepare_postgres(HOME)
    url = embedded_servers.postgres_url(HOME, "postgres")
    postgres = _start(postgres_program(HOME, *FAST))
    _await(postgres, lambda: database_refusal(url))
    return url, [postgres]


def _start_servers() -> list[Child]:
    HOME.chmod(0o755)
    if _hands_out_tests():
        _set_environment("postgresql:///nowhere", "redis://127.0.0.1:1/0")
        return []
    port = embedded_servers.free_port()
    redis_url = embedded_servers.valkey_url(HOME, port)
    database_url, postgres = _start_postgres()
    valkey = _start(valkey_program(HOME, port))
    _await(valkey, lambda: valkey_refusal(redis_url))
    _set_environment(database_url, redis_url)
    return [*postgres, valkey]


def _hands_out_tests() -> bool:
    """Return whether others run the tests of this process."""
    options = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    options.add_argument("-n", "--numprocesses", default="0")
    return "PYTEST_XDIST_WORKER" not in os.environ and options.parse_known_args()[0].numprocesses != "0"


def _set_environment(database_url: str, redis_url: str) -> None:
    for name in PRODUCT_SETTINGS:
        os.environ.pop(name, None)
    os.environ.update(
        CANDLEKEEP_HOME=str(HOME),
        DATABASE_URL=database_url,
        REDIS_URL=redis_url,
        SECRET_KEY="tests",
        LOG_FORMAT="text",
        # One test's requests must not be another's limit: tests of limits set theirs.
        RATE_LIMIT_PER_ADDRESS="0",
        RATE_LIMIT_PER_KEY="0",
        FETCH_BUDGET_PER_ADDRESS="0",
        FETCH_BUDGET_PER_KEY="0",
    )


# Many containers forbid it; then each of the hundred processes that tests start would compile all modules again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
memory.register()
_children = _start_servers()


def pytest_unconfigure() -> None:
    """Stop the servers and remove their folder."""
    forked_python.stop()
    for child in _children:
        child.send(child.program.stop_signal, group=False)
    for child in _children:
        if child.process:
            child.process.wait(timeout=20)
        child.output.close()
    shutil.rmtree(HOME, ignore_errors=True)
