"""Wait for the end of a request without holding up the server: few may wait, and a message wakes them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from threading import BoundedSemaphore, Event
from time import monotonic
from typing import Any

import structlog
from django.conf import settings
from redis.exceptions import RedisError

from datastore.access.counters import ask_counters

CHANNEL = "ck:requests"
POLL_S = 0.2  # seconds after which an end is seen whose message was lost
# Without Valkey no job reaches a worker: what comes yet was almost there.
MAX_WAIT_WITHOUT_VALKEY_S = 1.5
# The web process has a connection for each of its threads.
SERVER_THREADS = settings.DATABASE_POOL or settings.WEB_THREADS
_places = BoundedSemaphore(max(SERVER_THREADS // 4, 1))
log = structlog.get_logger(__name__)


def wait_until(done: Callable[[], bool], seconds: float) -> bool:
    """Wait up to `seconds` for done() and return it; False at once if a quarter of the server's threads wait.

    Without Valkey, a second and a half at most; before that it is asked for one, unless it did not answer a moment ago.
    """
    if done():
        return True
    if not _places.acquire(blocking=False):
        return False
    try:
        with closing(RequestEvents()) as events:
            end = monotonic() + (seconds if events.heard else min(seconds, MAX_WAIT_WITHOUT_VALKEY_S))
            while not (over := done()) and (left := end - monotonic()) > 0:
                events.wait(min(left, POLL_S))
            return over
    finally:  # whatever was raised, also by a cache that cannot be opened or closed
        _places.release()


def wake_readers() -> None:
    """Wake the readers that wait, in whatever process; without Valkey they find out by themselves."""
    try:
        ask_counters(lambda valkey: valkey.publish(CHANNEL, "ended"))
    except RedisError as exc:
        log.debug("readers not woken", reason=str(exc))


class RequestEvents:
    """Messages in Valkey that some request has ended; without Valkey there are none."""

    def __init__(self) -> None:
        self._channel: Any = None
        try:
            self._channel = ask_counters(_subscribed)
        except RedisError as exc:
            self._lost(exc)

    @property
    def heard(self) -> bool:
        """Return whether there are messages."""
        return self._channel is not None

    def wait(self, seconds: float) -> None:
        """Wait for the next message, at most `seconds`."""
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


def _subscribed(valkey: Any) -> Any:
    """Return a subscription. Raises RedisError after a second, also where an open connection is no sign of life."""
    valkey.ping()
    channel = valkey.pubsub(ignore_subscribe_messages=True)
    channel.subscribe(CHANNEL)
    return channel
