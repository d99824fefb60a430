"""sent.jsonl: the log of what was sent to which socket, and of REST calls; written before it is sent."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from threading import Lock

MAX_LOG_BYTES = 512 * 2**20  # then the file becomes sent.jsonl.1 and replaces an older one


class SentLog:
    """Appends lines, one write per burst; the page cache keeps them if the process is killed."""

    def __init__(self, home: Path, limit: int = MAX_LOG_BYTES) -> None:
        """Open the log of a home folder."""
        self._path, self._limit = home / "sent.jsonl", limit
        self._lock = Lock()  # REST answers in threads
        self._open()

    def _open(self) -> None:
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._size = os.fstat(self._file).st_size

    def write(self, lines: Iterable[str]) -> None:
        """Write all lines before returning."""
        data = "".join(f"{line}\n" for line in lines).encode()
        if not data:
            return
        with self._lock:
            if self._size >= self._limit:
                os.close(self._file)
                os.replace(self._path, self._path.with_suffix(".jsonl.1"))
                self._open()
            self._size += len(data)
            while data:
                data = data[os.write(self._file, data) :]

    def note(self, event: str, **fields: object) -> None:
        """Write one line about an event that is not a trade."""
        self.write([json.dumps({"event": event, **fields}, separators=(",", ":"))])

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
