"""Processes forked from one that has imported everything, for a supervisor that starts many of the same kind."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from django.conf import settings

from config.supervision.fork_server import begin_here, load
from config.supervision.output import Output
from metering.sharing import is_shared

PR_SET_CHILD_SUBREAPER = 36
GUARD = Path(__file__).with_name("guard.py")
# To import everything on a machine that is busy; a child that waits for longer gets a Python of its own.
ANSWER_TIMEOUT_S = 30.0
POLL_S = 0.02


def guarded(argv: Sequence[str], orphan_signal: signal.Signals, account: str = "-") -> list[str]:
    """Return the command that becomes argv (see guard.py), and ends with us.

    account: another one to run under, `uid:gid`.
    """
    return [sys.executable, "-I", "-S", str(GUARD), str(os.getpid()), str(int(orphan_signal)), account, *argv]


class ForkedProcess:
    """A child that the fork server made for us, with what is used of subprocess.Popen."""

    def __init__(self, pid: int) -> None:
        """Wrap the number of a child of this process."""
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def kill(self) -> None:
        """End it at once; raise ProcessLookupError if it has ended."""
        os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once it has ended; raise subprocess.TimeoutExpired."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            time.sleep(POLL_S)
        return code


class ForkServer:
    """The client of fork_server.py, which it starts, and starts again when it has died."""

    def __init__(self, env: Mapping[str, str], commands: Sequence[str], output: Output) -> None:
        """Prepare to fork processes of this environment, most of which will run one of the commands of manage.py.

        output gets what the server itself says.
        """
        self.env = env
        self.commands = commands
        self.output = output
        self._process: subprocess.Popen[bytes] | ForkedProcess | None = None
        self._requests: socket.socket | None = None

    def begin_here(self, unshared: Sequence[int]) -> None:
        """Fork the server from this process, which shares what it has loaded; start one where that cannot be.

        unshared: files that the server must not hold open.
        """
        is_alone = len(os.listdir("/proc/self/task")) == 1 if sys.platform == "linux" else False
        if not is_alone or not is_shared(settings.METRICS_FOLDER):
            self.start()
            return
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._requests.settimeout(ANSWER_TIMEOUT_S)
        reading, writing = os.pipe()
        us = os.getpid()
        load(self.commands)
        sys.stdout.flush()
        pid = os.fork()
        if not pid:
            for number in (*unshared, reading, self._requests.detach()):
                os.close(number)
            begin_here(theirs, writing, us, self.env)
        theirs.close()
        os.close(writing)
        self._process = ForkedProcess(pid)
        self.output.follow(os.fdopen(reading, "rb"))

    def start(self) -> None:
        """Start the server, which is of use once it has imported everything. Only Linux gives its orphans to us."""
        if sys.platform != "linux":
            return
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._requests.settimeout(ANSWER_TIMEOUT_S)
        arguments = [str(theirs.fileno()), str(os.getpid()), *self.commands]
        server = [sys.executable, "-m", "config.supervision.fork_server", *arguments]
        with theirs:
            self._process = process = subprocess.Popen(
                guarded(server, signal.SIGTERM),
                env=dict(self.env),
                cwd=settings.BASE_DIR,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        assert process.stdout  # noqa: S101 - a pipe was asked for
        self.output.follow(process.stdout)

    def fork(
        self, name: str, arguments: Sequence[str], cwd: Path, orphan_signal: signal.Signals
    ) -> tuple[ForkedProcess, IO[bytes]] | None:
        """Return a process that runs the Python arguments, and its output; None if the server does not answer.

        A server that has died is started again, for the next one who asks.
        """
        if not self._requests:
            return None
        reading, writing = os.pipe()
        try:
            request = {"name": name, "arguments": arguments, "cwd": str(cwd), "orphan_signal": orphan_signal}
            socket.send_fds(self._requests, [json.dumps(request).encode()], [writing])
            answer = self._requests.recv(20)
        except OSError:  # among others TimeoutError
            answer = b""
        finally:
            os.close(writing)
        if answer:
            return ForkedProcess(int(answer)), os.fdopen(reading, "rb")
        os.close(reading)
        self.stop()
        self.start()
        return None

    @property
    def pid(self) -> int | None:
        """Return the server's process number, None if there is none."""
        return self._process.pid if self._process else None

    def stop(self) -> None:
        """End the server; what was forked from it goes on."""
        if self._requests:
            self._requests.close()
            self._requests = None
        if self._process:
            with suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait()
            self._process = None
