"""Faults that can be asked for: when each ends, in the simulator's time, and what a subscription begins with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

USUAL_REPLAY = 20
Replayed = int | Literal["bridge"]


@dataclass(slots=True)
class Faults:
    """Which faults are on; times in nanoseconds of the simulator's clock, 0 = off."""

    refusing_until: int = 0
    silent_until: int = 0
    unauthorized_until: int = 0
    error_until: int = 0
    error_status: int = 503
    rate_limited_until: int = 0
    replay: Replayed = USUAL_REPLAY

    def clear(self) -> None:
        """Turn every fault off."""
        self.refusing_until = self.silent_until = self.unauthorized_until = 0
        self.error_until = self.rate_limited_until = 0
        self.replay = USUAL_REPLAY
