"""Threads that read the database for the event loop, each on a connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError, connections

T = TypeVar("T")
JOIN_TIMEOUT_S = 0.5  # seconds for a reader to end


class DatabaseAway(Exception):
    """The database does not answer."""


class ReaderThread:
    """One thread: what is read here is read in order. A daemon, so that a frozen database holds nobody's end up."""

    def __init__(self, name: str) -> None:
        """Start the thread; it connects at its first question."""
        self.reads = 0
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def run(self, read: Callable[[], T]) -> T:
        """Return what read() returns, called in the thread. Raises Away, and whatever else it raises."""
        job: Future[T] = Future()
        self.reads += 1
        self._jobs.put((job, read))
        return await asyncio.wrap_future(job)

    def close(self) -> None:
        """End behind what is being read."""
        self._jobs.put(None)
        self._thread.join(JOIN_TIMEOUT_S)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, read = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(read())
            except (OperationalError, InterfaceError) as exc:
                connections.close_all()  # of this thread: the next question connects anew
                future.set_exception(DatabaseAway(str(exc).partition("\n")[0]))
            except BaseException as exc:
                future.set_exception(exc)
        connections.close_all()
