"""Progress of a piece of work: a bar that redraws itself on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import shutil
from typing import Any

BAR_WIDTH = 30
LINE_EVERY = 0.1  # of the whole: how often a line is printed where nothing can be redrawn


class Progress:
    """Show `done` of `total` pages on a stream."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._redraws = bool(stream.isatty())
        self._shown: tuple[object, ...] = ()

    def show(self, done: int, total: int | None, note: str = "") -> None:
        """Show how many pages are done; total None: not known yet."""
        if self._redraws:
            width = shutil.get_terminal_size().columns - 1
            self._stream.write("\r" + bar(done, total, note)[:width].ljust(width), ending="")
            self._stream.flush()
        elif (step := (int(done / total / LINE_EVERY) if total else done, note)) != self._shown:
            self._shown = step
            self._stream.write(pages_text(done, total, note))

    def end(self) -> None:
        """Leave the bar as it is and continue below it."""
        if self._redraws:
            self._stream.write("")


def bar(done: int, total: int | None, note: str = "") -> str:
    """Return the bar as text."""
    full = BAR_WIDTH * done // total if total else 0
    return f"[{'#' * full}{'.' * (BAR_WIDTH - full)}] {pages_text(done, total, note)}"


def pages_text(done: int, total: int | None, note: str = "") -> str:
    """Return the pages as text, with the note."""
    pages = f"{done} of {total if total is not None else '?'} pages"
    return f"{pages}, {note}" if note else pages
