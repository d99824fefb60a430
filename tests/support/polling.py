"""Wait for what must happen, and say what did not."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.01, 0.1
PATIENT_S = 0.4  # the longest pause for what takes many seconds, where a look costs a platform more than it is worth


def until(
    what: str | Callable[[], object],
    look: Callable[[], T | None],
    seconds: float = 20,
    *,
    step: Callable[[], float] | None = None,
    longest_pause: float = LONGEST_PAUSE_S,
) -> T:
    """Look until there is something truthy and return it; fail with `what` and the last look after so many seconds.

    `step` runs after each look that found nothing, and returns how many seconds the next one may wait. Where a look
    costs much, a `longest_pause` such as PATIENT_S keeps it from slowing what is waited for.
    """
    deadline, pause = time.monotonic() + seconds, FIRST_PAUSE_S
    while not (found := look()):
        if time.monotonic() > deadline:
            missed = what if isinstance(what, str) else what()
            raise AssertionError(f"{missed}: not within {seconds:g} s; last seen {found!r}")
        time.sleep(min(pause, step()) if step else pause)
        pause = min(2 * pause, longest_pause)
    return found
