"""Python processes with an environment of their own, forked from one that has loaded the libraries and the simulator.

A process of Candlekeep imports its modules itself, so settings.py reads the environment that it is given; only the
libraries are there already. One of the simulator finds all of it loaded. `python -m tests.support.forked_python SOCKET`
is the process that forks; it takes a request for each.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]
OWN = ("actor_runtime", "config", "consumers", "coordination", "datastore", "ingestion", "metering", "streaming")
MAX_REQUEST_BYTES = 200_000  # whole environments
STARTED = "tests.forked_python"  # the audit event of a start, as subprocess.Popen has one


class ForkedPython:
    """A process that was forked, with what tests use of subprocess.Popen."""

    def __init__(self, status: int, stdout: IO[str] | None) -> None:
        """Wait for the process's number."""
        self.stdout = stdout
        self.returncode: int | None = None
        self._status = os.fdopen(status)
        self.pid = int(self._status.readline())

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once it has ended; raise subprocess.TimeoutExpired."""
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)

    def _ended(self, seconds: float | None) -> int | None:
        if self.returncode is None and select.select([self._status], [], [], seconds)[0]:
            self.returncode = int(self._status.readline())
            self._status.close()
        return self.returncode


def start(
    *argv: str, env: Mapping[str, str] | None = None, cwd: Path = ROOT, stderr: IO[bytes] | None = None
) -> ForkedPython:
    """Start `python …`: a script's path, -m and a module, or -c and code; by default stdout has what stderr gets."""
    reading, writing = os.pipe()
    try:
        return ForkedPython(_fork(argv, env, cwd, writing, stderr.fileno() if stderr else writing), os.fdopen(reading))
    finally:
        os.close(writing)


def run(
    *argv: str, env: Mapping[str, str] | None = None, cwd: Path = ROOT, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run `python …` to its end; raise subprocess.TimeoutExpired, and then kill it."""
    with tempfile.NamedTemporaryFile() as out, tempfile.NamedTemporaryFile() as err:
        process = ForkedPython(_fork(argv, env, cwd, out.fileno(), err.fileno()), None)
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        return subprocess.CompletedProcess(argv, status, *(Path(file.name).read_text() for file in (out, err)))


def _fork(argv: tuple[str, ...], env: Mapping[str, str] | None, cwd: Path, out: int, err: int) -> int:
    """Let a process be forked; return where its number and, in the end, its exit code can be read."""
    sys.audit(STARTED, argv)
    reading, writing = os.pipe()
    try:
        request = {"argv": argv, "env": dict(os.environ if env is None else env), "cwd": str(cwd)}
        socket.send_fds(_server(), [json.dumps(request).encode()], [out, err, writing])
    finally:
        os.close(writing)
    return reading


@cache
def _server() -> socket.socket:
    """Start the process that forks; it ends with this one, which closes the socket."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-m", __name__, str(theirs.fileno())]
        _servers.append(subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()]))
    return ours


_servers: list[subprocess.Popen[bytes]] = []


def stop() -> None:
    """End the process that forks, if there is one; what it forked goes on."""
    if _servers:
        _server().close()
        _servers.pop().wait(timeout=20)
        _server.cache_clear()


def _load() -> None:
    """Import the simulator, and the libraries by importing what imports them; forget the latter."""
    gc.disable()
    with tempfile.TemporaryDirectory() as home:
        os.environ["CANDLEKEEP_HOME"] = home
        runpy.run_module("config.settings")
        runpy.run_module("config.command_line")
    importlib.import_module("simulator.__main__")
    for name in [name for name in sys.modules if name.partition(".")[0] in OWN or name == "simulator.__main__"]:
        del sys.modules[name]
    gc.collect()
    gc.freeze()  # pages that no collection looks at stay shared
    gc.enable()


def _become(argv: list[str], env: dict[str, str], cwd: str) -> None:
    """Be the process that was asked for; its end is this one's."""
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    if argv[0] == "-c":
        exec(argv[1], {"__name__": "__main__"})  # noqa: S102 - the test's own code
    elif argv[0] == "-m":
        sys.argv = argv[1:]
        runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = argv
        runpy.run_path(argv[0], run_name="__main__")


def _keep(child: int, status: int) -> None:
    """Tell the process's number, and its exit code when it has ended."""
    os.write(status, f"{child}\n".encode())
    os.write(status, f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n".encode())


def main() -> None:
    """Fork for each request: one that keeps the exit code, and from that the process itself."""
    requests = socket.socket(fileno=int(sys.argv[1]))
    _load()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests
    while True:
        text, (*files,), _, _ = socket.recv_fds(requests, MAX_REQUEST_BYTES, 3)
        if not text:
            return
        keeper = os.fork()
        if not keeper:
            break
        for file in files:
            os.close(file)
        _reap()
    requests.close()
    if child := os.fork():
        for file in files[:2]:
            os.close(file)
        _keep(child, files[2])
        os._exit(0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, file in enumerate([nothing, *files[:2]]):
        os.dup2(file, number)
    os.closerange(3, 64)
    _become(**json.loads(text))


def _reap() -> None:
    """Take leave of keepers that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


if __name__ == "__main__":
    main()
