"""A machine clock that a test sets, for processes that it starts: PostgreSQL, Valkey and all our own under one.

    with stepped_clock() as clock:
        start(..., env=os.environ | clock.environment)
        clock.step(hours=-1)      # seen at once, by running processes too

Only CLOCK_REALTIME moves. It needs a C compiler (`cc`); without one a test is skipped, and fails where CI is set.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("realtime.c")


class SteppedClock:
    """The clock's distance from the machine's own, in a file that the processes map."""

    def __init__(self, library: Path, shared: Path) -> None:
        self._shared = shared
        self.environment = {"LD_PRELOAD": str(library), "STEPPED_CLOCK": str(shared)}
        self.set(timedelta())

    @property
    def offset(self) -> timedelta:
        """Return how far the clock is ahead of the machine's."""
        (nanos,) = struct.unpack("=q", self._shared.read_bytes())
        return timedelta(microseconds=nanos // 1000)

    def set(self, offset: timedelta) -> None:
        """Set the clock to the machine's plus this."""
        nanos = struct.pack("=q", int(offset.total_seconds() * 1_000_000) * 1000)
        # Written in place, never replaced: processes have the file mapped.
        with self._shared.open("r+b" if self._shared.exists() else "wb") as file:
            file.write(nanos)

    def step(self, *, hours: float = 0, seconds: float = 0) -> None:
        """Move the clock by so much from where it is."""
        self.set(self.offset + timedelta(hours=hours, seconds=seconds))


@contextmanager
def stepped_clock() -> Iterator[SteppedClock]:
    """Build the library in a folder of its own and yield a clock that agrees with the machine's."""
    compiler = shutil.which("cc")
    if compiler is None:
        explanation = "no C compiler: apt install gcc libc6-dev"
        if "CI" in os.environ:
            pytest.fail(explanation)
        pytest.skip(explanation)
    with tempfile.TemporaryDirectory(prefix="ck-clock-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL runs as another account where we are root
        library = Path(folder) / "realtime.so"
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
        yield SteppedClock(library, Path(folder) / "offset")
