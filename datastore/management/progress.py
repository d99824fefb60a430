"""Progress of a piece of work: a bar that redraws itself on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import shutil
from typing import Any

BAR_WIDTH = 30
LINE_EVERY = 0.1  # of the whole: how often a line is printed where nothing can be redrawn


class Progress:
    """Show `done` of `total` pages, or other units, on a stream."""

    def __init__(self, stream: Any, unit: str = "pages") -> None:
        self._stream, self._unit = stream, unit
        self._redraws = bool(stream.isatty())
        self._shown: tuple[object, ...] = ()

    def show(self, done: int, total: int | None, note: str = "") -> None:
        """Show how many are done; total None: not known yet."""
        if self._redraws:
            width = shutil.get_terminal_size().columns - 1
            self._stream.write("\r" + bar(done, total, note, self._unit)[:width].ljust(width), ending="")
            self._stream.flush()
        elif (step := (int(done / total / LINE_EVERY) if total else done, note)) != self._shown:
            self._shown = step
            self._stream.write(done_text(done, total, note, self._unit))

    def end(self) -> None:
        """Leave the bar as it is and continue below it."""
        if self._redraws:
            self._stream.write("")


def bar(done: int, total: int | None, note: str = "", unit: str = "pages") -> str:
    """Return the bar as text."""
    full = BAR_WIDTH * done // total if total else 0
    return f"[{'#' * full}{'.' * (BAR_WIDTH - full)}] {done_text(done, total, note, unit)}"


def done_text(done: int, total: int | None, note: str = "", unit: str = "pages") -> str:
    """Return what is done as text, with the note."""
    text = f"{done} of {total if total is not None else '?'} {unit}"
    return f"{text}, {note}" if note else text
