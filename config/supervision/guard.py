"""Become a program that does not outlive its starter: `guard.py STARTER_PID SIGNAL ACCOUNT PROGRAM ARGS…`.

ACCOUNT is UID:GID or -. Run by path with `python -I -S`: it needs only the standard library, and the program replaces
it at once.
"""

from __future__ import annotations

import ctypes
import os
import sys

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
    starter, stop_signal, account, *program = argv
    if account != "-":
        uid, gid = map(int, account.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    end_with(int(starter), int(stop_signal))  # after the change of account, which clears it
    os.execv(program[0], program)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
