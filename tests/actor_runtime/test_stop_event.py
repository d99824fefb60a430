from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from actor_runtime.stop_event import StopEvent

pytestmark = pytest.mark.slow

# A signal every 300 microseconds, the handler of which sets the event that the program sets and waits for.
INTERRUPTED = """
import signal
from actor_runtime.stop_event import StopEvent
stop = [StopEvent()]
signal.signal(signal.SIGALRM, lambda *_: stop[0].set())
signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
for _ in range(100_000):
    stop[0] = StopEvent()
    stop[0].wait(0.00001)
    stop[0].set()
signal.setitimer(signal.ITIMER_REAL, 0)
print(stop[0].wait())
"""


def test_a_signal_that_interrupts_the_setting_may_set_it_too() -> None:
    ran = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=120, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "True\n", "")


def test_it_wakes_all_who_wait_and_stays_set() -> None:
    stop = StopEvent()
    assert not stop.wait(0.01) and not stop.is_set()
    waiting = [threading.Thread(target=stop.wait) for _ in range(3)]
    for thread in waiting:
        thread.start()
    stop.set()
    for thread in waiting:
        thread.join(20)
    assert not any(thread.is_alive() for thread in waiting)
    assert stop.wait() and stop.is_set()
    with pytest.raises(TypeError):
        stop.clear()


def test_a_wake_ends_one_wait_and_sets_nothing() -> None:
    stop = StopEvent()
    stop.wake()
    assert not stop.wait(60) and not stop.is_set()
    stop.set()
    assert stop.wait(60) and stop.wait(60)
