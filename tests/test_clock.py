"""The stepped clock moves what processes take for the time of day, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from tests.support.clock import stepped_clock

READ = "import time, sys\nfor _ in sys.stdin: print(time.time(), time.monotonic(), flush=True)"


@pytest.mark.slow
def test_a_step_is_seen_at_once_and_by_the_time_of_day_alone() -> None:
    with stepped_clock() as clock:
        reader = subprocess.Popen(
            [sys.executable, "-c", READ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env=os.environ | clock.environment,
        )
        assert reader.stdin and reader.stdout
        for hours in (0, -1, 27, -26):
            clock.step(hours=hours)
            reader.stdin.write("\n")
            shown, steady = map(float, reader.stdout.readline().split())
            assert abs(shown - time.time() - clock.offset.total_seconds()) < 60
            assert abs(steady - time.monotonic()) < 60
        reader.stdin.close()
        assert reader.wait(10) == 0
        reader.stdout.close()
