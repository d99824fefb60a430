"""Threads that read the database for the event loop, each on its own connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from django.db import connections

from actor_runtime.reset_policy import DATABASE_AWAY

T = TypeVar("T")
JOIN_TIMEOUT_S = 0.5


class DatabaseAway(Exception):
    """The database does not answer."""


class ReaderThread:
    """One thread that reads in the order of the calls.

    It is a daemon thread, so that a frozen database cannot keep the process from ending.
    """

    def __init__(self, name: str) -> None:
        """Start the thread; it connects at its first call."""
        self.reads = 0
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def run(self, read: Callable[[], T]) -> T:
        """Return what read() returns in the thread; raise DatabaseAway, or whatever else read() raises."""
        job: Future[T] = Future()
        self.reads += 1
        self._jobs.put((job, read))
        return await asyncio.wrap_future(job)

    def close(self) -> None:
        """End the thread after its current read."""
        self._jobs.put(None)
        self._thread.join(JOIN_TIMEOUT_S)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, read = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(read())
            except DATABASE_AWAY as exc:
                connections.close_all()  # this thread's connections; the next read opens a new one
                future.set_exception(DatabaseAway(str(exc).partition("\n")[0]))
            except BaseException as exc:
                future.set_exception(exc)
        connections.close_all()
