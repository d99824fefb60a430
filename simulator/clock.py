"""The simulator's own time, which may run faster than the wall's and goes on over a restart."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Clock:
    """Simulator time = sim + (wall - base) * speed, in nanoseconds from 1970; in one process it never goes back."""

    sim: int
    base: int
    speed: float
    read: Callable[[], int]

    def now(self) -> int:
        """Tell the simulator's time in nanoseconds."""
        return self.sim + int((self.read() - self.base) * self.speed)

    def wall_seconds(self, seconds: float) -> float:
        """Say how long that many simulator seconds last on the wall clock."""
        return seconds / self.speed


def steady_wall() -> Callable[[], int]:
    """Make a wall clock that no later setting of the system's clock moves."""
    offset = time.time_ns() - time.monotonic_ns()
    return lambda: time.monotonic_ns() + offset


def resume(state: dict[str, Any], speed: float) -> Clock:
    """Go on from the clock kept in `state`, at a speed that may be another; notes the new base there."""
    read = steady_wall()
    wall = read()
    kept = state.get("clock", {"wall_ns": wall, "sim_ns": wall, "speed": 1.0})
    sim = Clock(kept["sim_ns"], kept["wall_ns"], kept["speed"], read).now()
    state["clock"] = {"wall_ns": wall, "sim_ns": sim, "speed": speed}
    return Clock(sim, wall, speed, read)


def load(home: Path) -> dict[str, Any]:
    """Read the state kept in a home folder; a new one is empty. Raises ValueError when it is damaged."""
    path = home / "state.json"
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text()))
    except ValueError as exc:
        raise ValueError(f"{path} is damaged; remove it to begin anew") from exc


def save(home: Path, state: dict[str, Any]) -> None:
    """Keep the state: whole or not at all, whenever we die."""
    path = home / "state.json"
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(state, indent=1))
    os.replace(draft, path)
