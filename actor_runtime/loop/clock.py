"""The time as the loops see it, so that tests can set it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from django.utils import timezone


@dataclass(frozen=True)
class Clock:
    """Two clocks: the time of day for what is stored, a steady one (seconds) for delays."""

    now: Callable[[], datetime] = timezone.now
    steady: Callable[[], float] = time.monotonic
    system: ClassVar[Clock]


Clock.system = Clock()
