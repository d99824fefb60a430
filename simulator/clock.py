"""The simulator's own time, which may run faster than the wall clock and continues after a restart."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Clock:
    """Simulator time = sim + (wall - base) * speed, in nanoseconds from 1970; in one process it never goes back."""

    sim: int
    base: int
    speed: float
    read: Callable[[], int]

    def now(self) -> int:
        """Return the simulator's time in nanoseconds since 1970."""
        return self.sim + int((self.read() - self.base) * self.speed)

    def wall_seconds(self, seconds: float) -> float:
        """Return how many wall-clock seconds that many simulator seconds last."""
        return seconds / self.speed


def steady_wall() -> Callable[[], int]:
    """Return a wall clock (nanoseconds since 1970) that later changes of the system clock do not move."""
    offset = time.time_ns() - time.monotonic_ns()
    return lambda: time.monotonic_ns() + offset


def resume(state: dict[str, Any], speed: float) -> Clock:
    """Continue the clock stored in `state`, maybe at another speed, and store its new base there."""
    read = steady_wall()
    wall = read()
    kept = state.get("clock", {"wall_ns": wall, "sim_ns": wall, "speed": 1.0})
    sim = Clock(kept["sim_ns"], kept["wall_ns"], kept["speed"], read).now()
    state["clock"] = {"wall_ns": wall, "sim_ns": sim, "speed": speed}
    return Clock(sim, wall, speed, read)


def load(home: Path) -> dict[str, Any]:
    """Return the state stored in a home folder, empty for a new one; raise ValueError if it is damaged."""
    path = home / "state.json"
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text()))
    except ValueError as exc:
        raise ValueError(f"{path} is damaged; remove it to start again") from exc


def save(home: Path, state: dict[str, Any]) -> None:
    """Store the state: completely or not at all, even if the process is killed."""
    path = home / "state.json"
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(state, indent=1))
    os.replace(draft, path)
