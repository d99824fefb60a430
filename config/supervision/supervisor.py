"""All children of one `up`: started stage by stage, watched, stopped in reverse order."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path

from actor_runtime.stop_event import StopEvent
from config.supervision import leftovers
from config.supervision.child import Child, Program
from config.supervision.disk_watch import DiskWatch
from config.supervision.errors import StartCancelled
from config.supervision.forking import ForkServer
from config.supervision.output import Output, Say

TICK_S = 0.1  # while something is awaited
IDLE_TICK_S = 1.0  # else; the end of a child wakes us at once


class Supervisor:
    """Keeps its programs running until it is asked to stop. Call every method from the main thread."""

    def __init__(self, home: Path, say: Say, stop: StopEvent) -> None:
        """Log to home/log, note process numbers in home/run, report with say(); `stop` ends every wait."""
        self.home = home
        self.say = say
        self.stop = stop
        self.hurry = StopEvent()  # set: kill at once while stopping
        self.children: list[Child] = []
        self.fork_server: ForkServer | None = None
        self.disk = DiskWatch(home, say)
        self._is_noted = True

    def fork_from(self, env: Mapping[str, str], commands: Sequence[str], unshared: Sequence[int] | None = None) -> None:
        """Start the process from which programs of this environment are forked; see ForkServer.

        unshared: our open files that it must not hold, if it may be a fork of this process; None if it may not.
        """
        output = Output("fork-server", self.home / "log" / "fork-server.log", self.say, self.disk.failed)
        self.fork_server = ForkServer(env, commands, output)
        if unshared is None:
            self.fork_server.start()
        else:
            self.fork_server.begin_here(unshared)

    def add(self, program: Program) -> Child:
        """Start one more program and keep it running."""
        say = None if program.quiet else self.say
        output = Output(program.name, self.home / "log" / f"{program.name}.log", say, self.disk.failed)
        child = Child(program, output, self.fork_server)
        self.children.append(child)
        child.start()
        self._note()
        return child

    def tick(self) -> None:
        """Check the disk and every child once; raise CrashLoop if one cannot be kept alive though there is room."""
        now = time.monotonic()
        if self.disk.look(now):
            for child in self.children:
                child.hasten(now)
        before = [child.process for child in self.children]
        for child in self.children:
            if death := child.watch(now, patient=self.disk.reason is not None):
                self.say(death)
        if not self._is_noted or before != [child.process for child in self.children]:
            self._note()

        # Take the exit status of processes whose parent died first: with a fork server they become our children.
        own = {child.process.pid for child in self.children if child.process}
        own |= {self.fork_server.pid} if self.fork_server and self.fork_server.pid else set()
        with suppress(ChildProcessError):
            while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and ended.si_pid not in own:
                os.waitpid(ended.si_pid, 0)

    def wait_for(self, ready: Callable[[], bool], seconds: float) -> bool:
        """Watch until ready() is true; False after this time. Raises StartCancelled if the user stops the start."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self.stop.wait(TICK_S):
                raise StartCancelled
            self.tick()
            if time.monotonic() > deadline:
                return False
        return True

    def run(self) -> None:
        """Watch until asked to stop."""
        while not self.stop.wait(self._idle_for()):
            self.tick()

    def _idle_for(self) -> float:
        """Return the seconds until a child is to be started again, at most IDLE_TICK_S."""
        now = time.monotonic()
        return max(0.0, min([IDLE_TICK_S, *(child.due - now for child in self.children if child.due is not None)]))

    def shut_down(self) -> None:
        """Stop every child, the last stage first; kill a stage that does not stop in time."""
        by_stage = sorted(self.children, key=lambda child: -child.program.stage)
        for _, children in groupby(by_stage, key=lambda child: child.program.stage):
            stage = list(children)
            for child in stage:
                # To the process only: it stops its own workers.
                child.send(child.program.stop_signal, group=False)
            deadline = time.monotonic() + max(child.program.stop_seconds for child in stage)
            self._await_end(stage, deadline, patient=True)
            for child in stage:
                if child.alive:
                    self.say(f"{child.program.name} does not stop: killing it")
                    child.send(child.program.kill_signal)
            self._await_end(stage, time.monotonic() + 3, patient=False)
            for child in stage:
                child.sweep()
                if child.process:
                    child.process.wait()

        if self.fork_server:
            self.fork_server.stop()
            self.fork_server.output.close()
        for child in self.children:
            child.output.close()
        with self.disk.attempt():
            leftovers.forget(self.home)

    def _await_end(self, stage: list[Child], deadline: float, *, patient: bool) -> None:
        while any(child.alive for child in stage) and time.monotonic() < deadline:
            if patient and self.hurry.is_set():
                return
            time.sleep(0.05)  # not Event.wait: the signal handler that sets the event must be able to interrupt us

    def _note(self) -> None:
        running = [child.process.pid for child in self.children if child.process]
        self._is_noted = False
        with self.disk.attempt():
            leftovers.note(self.home, running)
            self._is_noted = True

    def on_child(self, number: int, frame: object) -> None:
        """Handle SIGCHLD: look at the children at once."""
        self.stop.wake()

    def on_signal(self, number: int, frame: object) -> None:
        """Handle Ctrl-C, SIGTERM or SIGHUP: the first stops, a second Ctrl-C kills."""
        if self.stop.is_set() and number == signal.SIGINT:
            self.hurry.set()
        self.stop.set()
