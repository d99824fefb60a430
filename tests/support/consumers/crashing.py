"""A fixed consumer that is killed at one step of its cycle: `python -m tests.support.consumers.crashing STEP`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from threading import Event
from typing import Any

import django

STEPS = ("polled", "processed", "entered writing", "written", "stored", "committed", "cached", "end saved")


def die() -> None:
    """End as kill -9 does."""
    os.kill(os.getpid(), signal.SIGKILL)


def dying_after(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function, with death behind it."""

    def call(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        if result != []:  # an empty poll is no step
            die()
        return result

    return call


def dying_work(step: str) -> Any:
    """Return the real work, armed at this step."""
    from consumers import fixed_consumer_actor as module

    class Dying(module.FixedTopicWork):
        def open(self, session: Any) -> None:
            super().open(session)
            arm(step, self, session)

    return Dying("tick-data")


def arm(step: str, work: Any, session: Any) -> None:
    """Put the death where the step ends."""
    if step == "polled":
        work._subscription.poll = dying_after(work._subscription.poll)
    elif step == "processed":
        work.handler = replace(work.handler, read=dying_after(work.handler.read))
    elif step in ("entered writing", "written", "end saved"):
        number = {"entered writing": 1, "written": 2, "end saved": 3}[step]
        session.save = nth(session.save, number)
    elif step == "stored":
        work._write = dying_after(work._write)
    elif step == "committed":
        work._subscription.commit = dying_after(work._subscription.commit)
    elif step == "cached":
        work._update_cache = dying_after(work._update_cache)


def nth(save: Callable[[], None], number: int) -> Callable[[], None]:
    """Return a save behind whose nth call death waits: the 2nd is inside the data transaction, before its commit."""
    calls = 0

    def call() -> None:
        nonlocal calls
        calls += 1
        save()
        if calls == number:
            die()

    return call


def main() -> None:
    """Run until death."""
    from actor_runtime.loop.runner import run

    signal.alarm(60)  # whatever happens to the test, this process ends
    run(dying_work(sys.argv[1]), Event())


if __name__ == "__main__":
    django.setup()
    main()
