"""The stands on which the contract is checked: memory, and a private Valkey."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from streaming.memory import MemoryBroker
from streaming.redis_streams import PREFIX, RedisBroker
from tests.streaming.valkey import PrivateValkey


class MemoryStand:
    """A memory adapter (or a broken one); its store outlives each broker(), as a server would."""

    def __init__(self, adapter: type[MemoryBroker] = MemoryBroker) -> None:
        self._broker = adapter(10_000)

    def broker(self, maxlen: int = 10_000) -> MemoryBroker:
        self._broker.maxlen = maxlen
        return self._broker

    def lose_group(self, topic: str, group: str) -> None:
        self._broker.lose_group(topic, group)

    def lose_everything(self) -> None:
        self._broker.lose_everything()

    @contextmanager
    def full(self) -> Iterator[None]:
        self._broker.fill_up(room=7)
        yield
        self._broker.come_back()


class RedisStand:
    """A real server, emptied first."""

    def __init__(self, server: PrivateValkey) -> None:
        self._server = server
        server.flush()

    def broker(self, maxlen: int = 10_000) -> RedisBroker:
        return RedisBroker(self._server.url, maxlen)

    def lose_group(self, topic: str, group: str) -> None:
        with self._server.client() as client:
            assert client.xgroup_destroy(PREFIX + topic, group)

    def lose_everything(self) -> None:
        self._server.flush()

    @contextmanager
    def full(self) -> Iterator[None]:
        self._server.configure(maxmemory=1)
        yield
        self._server.configure(maxmemory=0)
