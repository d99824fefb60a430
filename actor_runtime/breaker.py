"""A server that does not answer is left alone for a moment, by those who can do without its answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from time import monotonic

RETRY_AFTER_S = 3.0


class Breaker:
    """Of several questions that a page has for a server, only the first waits for it in vain; threads may share it."""

    def __init__(self) -> None:
        """Let everyone ask."""
        self._retry_at, self._reason = 0.0, ""

    @contextmanager
    def asking(self, *failures: type[Exception]) -> Iterator[None]:
        """Ask inside of this, where these errors say that the server does not answer.

        Raises the first of them, without asking, if a question failed a moment ago.
        """
        if monotonic() < self._retry_at:
            raise failures[0](self._reason)
        try:
            yield
        except failures as exc:
            self._reason, self._retry_at = str(exc), monotonic() + RETRY_AFTER_S
            raise


@cache
def breaker_of(url: str) -> Breaker:
    """Return the breaker of the server at this address: one, whatever it is asked for."""
    return Breaker()
