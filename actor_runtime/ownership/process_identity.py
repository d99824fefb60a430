"""Who owns an actor: a process, named so that a later one with the same pid is not mistaken for it."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path

import psutil

_DEAD_STATES = {"Z", "X"}  # a zombie owns nothing any more


def this_process() -> str:
    """Return host:pid:start of the running process."""
    return _named(os.getpid())


@cache
def _named(pid: int) -> str:
    return f"{socket.gethostname()}:{pid}:{_start(pid)}"


def is_gone(owner: str) -> bool:
    """Return whether owner was a process of this host that no longer exists; False if that cannot be known."""
    host, _, process = owner.partition(":")
    pid, _, start = process.partition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    return _start(int(pid)) != start


def _start(pid: int) -> str:
    """Return a mark of when the process began, empty if it is not running."""
    if not Path("/proc/self/stat").exists():
        try:
            return str(int(psutil.Process(pid).create_time()))
        except psutil.Error:
            return ""

    # On Linux: ticks since boot, which unlike a time of day do not change when the clock is set.
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in _DEAD_STATES else fields[19]
