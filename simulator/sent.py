"""sent.jsonl: the log of what was sent to which socket, and of REST calls; written before it is sent."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from threading import Lock

MAX_LOG_BYTES = 512 * 2**20  # then the file becomes sent.jsonl.1 and replaces an older one


class SentLog:
    """Appends lines, one write per burst; the page cache keeps them if the process is killed.

    Lines that the disk refuses are left out, all of a burst or none: a full disk here is no fault of the provider.
    """

    def __init__(self, home: Path, limit: int = MAX_LOG_BYTES) -> None:
        """Open the log of a home folder."""
        self._path, self._limit = home / "sent.jsonl", limit
        self._lock = Lock()  # REST answers in threads
        self._missing = 0  # lines left out since the last one written
        self._open()

    def _open(self) -> None:
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._size = os.fstat(self._file).st_size

    def write(self, lines: Iterable[str]) -> None:
        """Write all lines before returning, or leave them out and say so on stderr, once."""
        found = list(lines)
        if not found:
            return
        with self._lock:
            missed = self._missing
            note = [f'{{"event":"unlogged","lines":{missed}}}'] if missed else []
            try:
                data = "".join(f"{line}\n" for line in (*note, *found)).encode()
                if self._size >= self._limit:
                    os.replace(self._path, self._path.with_suffix(".jsonl.1"))
                    os.close(self._file)
                    self._open()
                left = data
                try:
                    while left:
                        left = left[os.write(self._file, left) :]
                except OSError:
                    with suppress(OSError):
                        os.ftruncate(self._file, self._size)  # no part of a line stays
                    raise
                self._size += len(data)
            except OSError as error:
                self._missing += len(found)
                if not missed:
                    print(f"{self._path} cannot be written: {error.strerror}", file=sys.stderr, flush=True)
                return
            self._missing = 0
        if missed:
            print(f"{self._path} is written again; {missed} lines are missing", file=sys.stderr, flush=True)

    def note(self, event: str, **fields: object) -> None:
        """Write one line about an event that is not a trade."""
        self.write([json.dumps({"event": event, **fields}, separators=(",", ":"))])

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
