"""Wait for what must happen, and say what did not."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
LOOK_EVERY = 0.1  # seconds


def until(what: str, look: Callable[[], T], seconds: float) -> T:
    """Look until there is something truthy and return it; fails with `what` and the last look after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s; last seen {found!r}"
        time.sleep(LOOK_EVERY)
    return found
