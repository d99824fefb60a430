"""What the garbage collector need not look at."""

from __future__ import annotations

import gc


def leave_out_what_is_loaded() -> None:
    """Let no later collection look at what lives now: at the start of a process, its modules.

    To look through all of Django takes a tenth of a second or two, in which the process sends and stores nothing. The
    fork server of `up` does this before it forks, which also keeps those pages shared.
    """
    gc.freeze()
