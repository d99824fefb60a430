"""What tests of several folders share."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import TransactionTestCase, override_settings
from hypothesis import HealthCheck, settings
from whitenoise.middleware import WhiteNoiseMiddleware

from actor_runtime import breaker
from config.monitoring import cached_answer
from datastore.api.params.market_lookup import forget_markets
from tests.support import forked_python
from tests.support.database import empty_tables
from tests.support.datastore.provider_time import provider_time
from tests.support.examples import USUAL_COUNT
from tests.support.kafka.fixtures import kafka, kafka_of_this_run
from tests.support.prepared_home import prepared_home

# A fixture of the whole session is made once only if one conftest has it.
__all__ = ["kafka", "kafka_of_this_run", "prepared_home", "provider_time"]

# All examples of a test share its database: each makes markets of its own, or takes back what it wrote.
settings.register_profile(
    "candlekeep",
    max_examples=USUAL_COUNT,
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("candlekeep")

INTEGRATION = Path(__file__).parent / "integration"
# Who asks for one of these waits for a process that is started for it.
STARTED = {"bench", "simulator", "start", "shared", "server", "valkey_of_this_run", "kafka", "kafka_of_this_run"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(INTEGRATION) or STARTED & set(getattr(item, "fixturenames", ())):
            item.add_marker("slow")


def _watch_starts() -> list[str]:
    """Return a list to which each process that is started from now on is added."""
    started, kinds = list[str](), ("subprocess.Popen", "os.fork", "os.posix_spawn", forked_python.STARTED)

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event in kinds:
            started.append(f"{event} {arguments}"[:200])

    sys.addaudithook(note)
    return started


_started = _watch_starts()  # by the test under way


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    _started.clear()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Fail a test that is not marked slow and started a process: `make test-quick` would no longer be quick."""
    yield
    assert "slow" in item.keywords or not _started, f"is not marked slow, and starts a process: {_started}"


@pytest.fixture(autouse=True)
def markets_are_looked_up() -> None:
    """Find no row of the test before."""
    forget_markets()


@pytest.fixture(scope="session", autouse=True)
def quick_flush() -> Iterator[None]:
    """Empty the tables behind a test that commits in a tenth of the time that Django takes for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda _: empty_tables())
        yield


@pytest.fixture(scope="session", autouse=True)
def new_answers() -> Iterator[None]:
    """Compute health and metrics for each question: what a test changes shows at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cached_answer, "TTL_S", 0.0)
        yield


@pytest.fixture(scope="session", autouse=True)
def asked_again() -> Iterator[None]:
    """Ask a server that did not answer again at once: the next test has another one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(breaker, "RETRY_AFTER_S", 0.0)
        yield


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> Iterator[None]:
    """Hash passwords once and not a million times: what makes guessing slow makes each signed-in test slow too."""
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


@pytest.fixture(scope="session", autouse=True)
def quick_static_files() -> Iterator[None]:
    """Find the static files once, not for each client of a test: each makes a middleware of its own."""
    find, found = WhiteNoiseMiddleware.add_files_from_finders, dict[str, Any]()

    def add(middleware: WhiteNoiseMiddleware) -> None:
        if not found:
            find(middleware)
            found.update(middleware.files)
        middleware.files.update(found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WhiteNoiseMiddleware, "add_files_from_finders", add)
        yield
