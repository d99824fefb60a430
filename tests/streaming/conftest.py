from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.streaming.valkey import PrivateValkey, private_valkey


@pytest.fixture(scope="session")
def valkey_of_this_run() -> Iterator[PrivateValkey]:
    """A server that the streaming tests share; each empties it first."""
    with private_valkey() as server:
        yield server


@pytest.fixture
def valkey(valkey_of_this_run: PrivateValkey) -> PrivateValkey:
    """An empty server."""
    valkey_of_this_run.flush()
    return valkey_of_this_run
