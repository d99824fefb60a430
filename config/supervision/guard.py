"""Become a program that does not outlive its starter: `guard.py STARTER_PID SIGNAL ACCOUNT HOW PROGRAM ARGS…`.

ACCOUNT is UID:GID or -, HOW is become or keep. Run by path with `python -I -S`: it needs only the standard library, and
the program replaces it at once. To `keep` a program is to stay as its parent, for one whose handler of the signal must
not be interrupted by another.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from types import FrameType

PR_SET_PDEATHSIG = 1


def end_with(starter: int, number: int) -> None:
    """Ask for a signal when the starter, this process's parent, dies; raise SystemExit if it has.

    Only Linux sends one, and more than one if the starter has threads: each that ends hands its children to the next.
    On other systems the next start stops what a killed one left.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != starter:
        sys.exit("the starter is gone")


def main(argv: list[str]) -> None:
    """Switch to the account, ask Linux for a signal when the starter dies, and become the program."""
    starter, stop_signal, account, how, *program = argv
    if account != "-":
        uid, gid = map(int, account.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    end_with(int(starter), int(stop_signal))  # after the change of account, which clears it
    if how == "keep":
        keep(program, int(stop_signal))
    os.execv(program[0], program)  # noqa: S606 - no shell is wanted


def keep(program: list[str], stop_signal: int) -> None:
    """Run the program as a child in this process group, pass on the first signal alone, and end as it ends."""
    me, child = os.getpid(), os.fork()
    if not child:
        end_with(me, stop_signal)
        os.execv(program[0], program)  # noqa: S606 - no shell is wanted

    def pass_on(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)
        os.kill(child, number)

    signal.signal(stop_signal, pass_on)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(me, -code)
    sys.exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
