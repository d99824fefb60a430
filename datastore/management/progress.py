"""How far a piece of work is: a bar that redraws itself on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import shutil
from typing import Any

WIDTH = 30
STEP = 0.1  # of the whole: how often a line is worth printing where nothing can be redrawn


class Progress:
    """Shows `done` of `total` on a stream."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._redraws = bool(stream.isatty())
        self._told: tuple[object, ...] = ()

    def show(self, done: int, total: int | None, note: str = "") -> None:
        """Show where the work stands; total None: not known yet."""
        if self._redraws:
            width = shutil.get_terminal_size().columns - 1
            self._stream.write("\r" + bar(done, total, note)[:width].ljust(width), ending="")
            self._stream.flush()
        elif (told := (int(done / total / STEP) if total else done, note)) != self._told:
            self._told = told
            self._stream.write(pages_text(done, total, note))

    def end(self) -> None:
        """Leave the bar as it is and go on below it."""
        if self._redraws:
            self._stream.write("")


def bar(done: int, total: int | None, note: str = "") -> str:
    """Return the bar as text."""
    full = WIDTH * done // total if total else 0
    return f"[{'#' * full}{'.' * (WIDTH - full)}] {pages_text(done, total, note)}"


def pages_text(done: int, total: int | None, note: str = "") -> str:
    """Return the pages as text, with what else is to be said."""
    pages = f"{done} of {total if total is not None else '?'} pages"
    return f"{pages}, {note}" if note else pages
