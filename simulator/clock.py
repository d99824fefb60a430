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
    """Simulator time = sim + (wall - base) * speed, in nanoseconds since 1970; within a process it never goes back."""

    sim: int
    base: int
    speed: float
    read: Callable[[], int]

    def now(self) -> int:
        """Return the simulator's time in nanoseconds."""
        return self.sim + int((self.read() - self.base) * self.speed)

    def wall_seconds(self, seconds: float) -> float:
        """Return how many seconds of the wall clock this many simulator seconds take."""
        return seconds / self.speed


def steady_wall() -> Callable[[], int]:
    """Return a wall clock that does not follow later changes of the system's clock."""
    offset = time.time_ns() - time.monotonic_ns()
    return lambda: time.monotonic_ns() + offset


def resume(state: dict[str, Any], speed: float) -> Clock:
    """Continue from the clock saved in `state`, perhaps at another speed; save the new base there."""
    read = steady_wall()
    wall = read()
    saved = state.get("clock", {"wall_ns": wall, "sim_ns": wall, "speed": 1.0})
    sim = Clock(saved["sim_ns"], saved["wall_ns"], saved["speed"], read).now()
    state["clock"] = {"wall_ns": wall, "sim_ns": sim, "speed": speed}
    return Clock(sim, wall, speed, read)


def load(home: Path) -> dict[str, Any]:
    """Return the state saved in a home folder, empty for a new one. Raises ValueError if it is damaged."""
    path = home / "state.json"
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text()))
    except ValueError as exc:
        raise ValueError(f"{path} is damaged; remove it to start afresh") from exc


def save(home: Path, state: dict[str, Any]) -> None:
    """Save the state, in full or not at all even if the process dies."""
    path = home / "state.json"
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(state, indent=1))
    os.replace(draft, path)
