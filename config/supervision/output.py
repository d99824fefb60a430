"""What children print: lines with a prefix on the terminal, and in a log file that is rotated by size."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

from actor_runtime.redaction import without_secrets

Say = Callable[[str], None]
MAX_LOG_BYTES = 10_000_000
LOG_FILES = 3
LAST_LINES = 15
MAX_LINE_BYTES = 100_000  # a longer line is split, so that no child fills our memory


class Output:
    """The output of one program over all its restarts."""

    def __init__(self, name: str, path: Path, say: Say | None) -> None:
        """Append to path; say, if given, is called with each line, prefixed with the program's name."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.name = name
        self.last: deque[str] = deque(maxlen=LAST_LINES)
        self._say = say
        self._file = RotatingFileHandler(
            path, maxBytes=MAX_LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8", delay=True
        )
        self._readers: list[threading.Thread] = []

    def follow(self, pipe: IO[bytes]) -> None:
        """Read a child's pipe to its end, in a thread of its own."""
        reader = threading.Thread(target=self._read_lines, args=(pipe,), name=f"output of {self.name}", daemon=True)
        self._readers = [thread for thread in self._readers if thread.is_alive()] + [reader]
        reader.start()

    def finish(self, seconds: float = 1) -> None:
        """Wait until a dead child's last lines are read, but not for ever: a grandchild may hold the pipe open."""
        for reader in self._readers:
            reader.join(seconds)

    def close(self) -> None:
        """Close the log file."""
        self.finish()
        self._file.close()

    def _read_lines(self, pipe: IO[bytes]) -> None:
        with pipe:
            while raw := pipe.readline(MAX_LINE_BYTES):
                self.line(raw.decode("utf-8", "replace").rstrip("\r\n"))

    def line(self, text: str) -> None:
        """Log, remember and show one line, without secrets: a traceback at a start passed no logger."""
        text = without_secrets(text)
        self._file.handle(logging.LogRecord(self.name, logging.INFO, "", 0, text, None, None))
        self.last.append(text)
        if self._say:
            self._say(f"{self.name:<14} | {text}")
