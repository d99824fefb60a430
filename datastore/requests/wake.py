"""Wait for the end of a request without holding up the server: few may wait, and the Coordinator's sign wakes them."""

from __future__ import annotations

from collections.abc import Callable
from threading import BoundedSemaphore, Event
from time import monotonic

import structlog
from django.conf import settings
from django_redis import get_redis_connection
from redis.exceptions import RedisError

CHANNEL = "ck:requests"
LOOK = 0.2  # seconds: how soon an end is seen whose sign was lost
THREADS = settings.DATABASE_POOL or 8  # the web process has a connection for each of its threads
_places = BoundedSemaphore(max(THREADS // 4, 1))
log = structlog.get_logger(__name__)


def wait_until(done: Callable[[], bool], seconds: float) -> bool:
    """Wait up to some seconds for done(); False at once where a quarter of the server's threads wait already."""
    if done():
        return True
    if not _places.acquire(blocking=False):
        return False
    bell = RequestEvents()
    try:
        end = monotonic() + seconds
        while not (over := done()) and (left := end - monotonic()) > 0:
            bell.wait(min(left, LOOK))
        return over
    finally:
        bell.close()
        _places.release()


class RequestEvents:
    """Rings when any request ended. Without a cache it never does."""

    def __init__(self) -> None:
        self._channel = None
        try:
            self._channel = get_redis_connection("default").pubsub(ignore_subscribe_messages=True)
            self._channel.subscribe(CHANNEL)
        except RedisError as exc:
            self._lost(exc)

    def wait(self, seconds: float) -> None:
        """Wait for the next ring, at most some seconds."""
        if self._channel is None:
            Event().wait(seconds)
            return
        try:
            self._channel.get_message(timeout=seconds)
        except RedisError as exc:
            self._lost(exc)

    def close(self) -> None:
        """Stop listening."""
        if self._channel is not None:
            self._channel.close()

    def _lost(self, exc: RedisError) -> None:
        log.warning("waiting without the cache", reason=str(exc))
        self.close()
        self._channel = None
