"""One supervised process: how it is started, watched, restarted and stopped."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from config.supervision.errors import CrashLoop
from config.supervision.forking import ForkedProcess, ForkServer, guarded
from config.supervision.output import Output

STEADY_AFTER_S = 10.0  # a process that lives longer has started well
MAX_RESTART_DELAY_S = 30.0
MAX_FAST_EXITS = 5
PATIENT_DELAY_S = 5.0  # while no process can be expected to run


@dataclass(frozen=True, slots=True)
class Program:
    """What to run. Stages are started in ascending order and stopped in descending order."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    stage: int = 0
    user: str | None = None
    quiet: bool = False  # its output goes only to the log file
    stop_signal: signal.Signals = signal.SIGTERM
    kill_signal: signal.Signals = signal.SIGKILL  # sent first if it does not stop in time
    orphan_signal: signal.Signals | None = None  # sent if we die; None: stop_signal
    stop_seconds: float = 15
    cwd: Path = Path("/")
    forked: bool = False  # a Python program with the environment of the fork server, if there is one


class Child:
    """One program and its process, if it runs. For one thread only: Linux ties a child to the thread that forked it."""

    def __init__(self, program: Program, output: Output, fork_server: ForkServer | None = None) -> None:
        """Prepare; nothing runs before start()."""
        self.program = program
        self.output = output
        self.fork_server = fork_server if program.forked else None
        self.process: subprocess.Popen[bytes] | ForkedProcess | None = None
        self.started = 0.0
        self.due: float | None = None  # when to start it again, on the monotonic clock
        self.fast_exits = 0  # in a row
        self.was_steady = False

    def start(self) -> None:
        """Start the program in a session of its own, so that the terminal's Ctrl-C reaches only us."""
        self.due = None
        self.started = time.monotonic()
        self.output.last.clear()
        program = self.program
        orphan_signal = program.orphan_signal or program.stop_signal
        if self.fork_server and (
            forked := self.fork_server.fork(program.name, program.argv[1:], program.cwd, orphan_signal)
        ):
            self.process, pipe = forked
            self.output.follow(pipe)
        else:
            account = "-"
            if program.user:
                entry = pwd.getpwnam(program.user)
                account = f"{entry.pw_uid}:{entry.pw_gid}"
            self.process = process = subprocess.Popen(
                guarded(program.argv, orphan_signal, account),
                env=dict(program.env),
                cwd=program.cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            assert process.stdout  # noqa: S101 - a pipe was asked for
            self.output.follow(process.stdout)

    @property
    def alive(self) -> bool:
        """Return whether its process runs."""
        return self.process is not None and self.process.poll() is None

    def watch(self, now: float, *, patient: bool = False) -> str | None:
        """Start it again when that is due; return a sentence if it has just died.

        Raises CrashLoop at the fifth fast exit in a row of a program that never ran well: such a start cannot succeed.
        A program that once ran well is restarted for ever, since what it needs may come back. A patient watch knows
        of something that keeps programs from running, and does not count such exits.
        """
        if self.due is not None and now >= self.due:
            try:
                self.start()
            except OSError as error:  # no memory, no process numbers: this may pass, like any other exit
                return self._on_exit(f"could not be started: {error}", now, patient=patient)
        if self.process is None or self.process.poll() is None:
            return None
        self.sweep()
        ending = exit_text(self.process.wait())
        self.process = None
        return self._on_exit(ending, now, patient=patient)

    def hasten(self, now: float) -> None:
        """Start it at the next watch, if it waits for its start: what kept it from running is over."""
        if self.due is not None:
            self.due = min(self.due, now)

    def _on_exit(self, ending: str, now: float, *, patient: bool) -> str:
        """Schedule the next start and return a sentence about it; raise CrashLoop."""
        was_steady = now - self.started >= STEADY_AFTER_S
        self.was_steady |= was_steady
        if patient:
            self.fast_exits, self.due = 0, now + PATIENT_DELAY_S
            return f"{self.program.name} {ending}; starting it again in {PATIENT_DELAY_S:g} s"
        self.fast_exits = 1 if was_steady else self.fast_exits + 1
        if self.fast_exits >= MAX_FAST_EXITS and not self.was_steady:
            self.output.finish()
            lines = "\n".join(f"  {line}" for line in self.output.last) or "  (it printed nothing)"
            times = f"{self.fast_exits} times in a row"
            raise CrashLoop(f"{self.program.name} {ending}, {times}. Its last lines:\n{lines}")

        if self.fast_exits == 1:  # most that die do so once: killed, or for want of memory
            self.due = now
            return f"{self.program.name} {ending}; starting it again"
        delay = min(2.0 ** (self.fast_exits - 2), MAX_RESTART_DELAY_S)
        self.due = now + delay
        return f"{self.program.name} {ending}; starting it again in {delay:g} s"

    def sweep(self) -> None:
        """Kill what a dead process left in its group, such as the workers of a killed web server."""
        self.send(signal.SIGKILL)

    def send(self, number: signal.Signals, *, group: bool = True) -> None:
        """Send a signal to the process and, by default, its whole group."""
        if self.process is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            (os.killpg if group else os.kill)(self.process.pid, number)


def exit_text(code: int) -> str:
    """Return how a process ended, in words: `exited with 3`, `was killed by SIGKILL`."""
    if code >= 0:
        return f"exited with {code}"
    with suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"
