"""A file that is checked as a whole before anything of it is used, and can then be read from its end.

The rows are copied to a temporary file while they are checked, so what is written later is what was checked, and the
newest trades can be written first: at no moment is there a hole between them and what is stored.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
import zlib
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from gzip import BadGzipFile, GzipFile
from os import SEEK_END
from pathlib import Path
from typing import IO, Generic
from zipfile import BadZipFile, ZipFile

import msgspec

from datastore.imports.rows import BadLine, FileFormat, Row

MAX_LINE_BYTES = 1000
BATCH_ROWS = 5_000
PACKED = ".gz"
DAMAGED = (BadZipFile, BadGzipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)  # of an archive
CHECKSUM = re.compile(r"([0-9a-fA-F]{64})\b")
Progress = Callable[[int, int], None]  # bytes done, of how many


class BadFile(Exception):
    """A file that cannot be imported; the message names it, the line if there is one, and the reason."""

    def __init__(self, name: str, reason: str, line: int | None = None) -> None:
        super().__init__(f"{name}: {reason}" if line is None else f"{name}, line {line:,}: {reason}")


@dataclass
class CheckedFile(Generic[Row]):
    """A file all of whose lines are sound; `rows` counts those that differ."""

    name: str
    form: FileFormat[Row]
    copy: IO[bytes]
    rows: int = 0
    repeated: int = 0  # lines that say the same as the one before
    markers: int = 0  # lines that say nothing
    size: int = 0  # bytes of the copy
    has_checksum: bool = False
    first: Row | None = None
    last: Row | None = None
    batches: list[int] = field(default_factory=list)  # where each begins in the copy

    def batch(self, place: int) -> list[Row]:
        """Return the rows of one batch, in the file's order."""
        start, stop = [*self.batches, self.size][place : place + 2]
        self.copy.seek(start)
        return msgspec.json.Decoder(self.form.row).decode_lines(self.copy.read(stop - start))

    def __enter__(self) -> CheckedFile[Row]:
        return self

    def __exit__(self, *_: object) -> None:
        self.copy.close()  # which deletes it


def check_file(path: Path, form: FileFormat[Row], progress: Progress) -> CheckedFile[Row]:
    """Check a file of lines, packed by gzip or not, or the only CSV in a zip, line by line; raise BadFile."""
    with ExitStack() as opened:
        # The caller closes it with the checked file, this stack only if that is never made.
        copy = opened.enter_context(tempfile.TemporaryFile(prefix="candlekeep-import-"))
        found = CheckedFile(path.name, form, copy, has_checksum=_check_sum(path))
        try:
            with (form.lines or _lines)(path) as (lines, size):
                _check(found, lines, lambda done: progress(min(done, size), size))
        except DAMAGED as exc:
            raise BadFile(path.name, f"the archive is damaged or cut off: {exc}") from None
        except OSError as exc:
            raise BadFile(path.name, f"it cannot be read, or not be copied: {exc.strerror or exc}") from None
        if found.first is None:
            raise BadFile(path.name, "there is no row in it")
        opened.pop_all()
    return found


def _check(found: CheckedFile[Row], lines: Iterator[bytes], progress: Callable[[int], None]) -> None:
    """Copy the rows that differ to the checked file; raise BadFile."""
    form, before, done = found.form, None, 0
    for number, raw in enumerate(lines, start=1):
        done += len(raw)
        if number == 1 and form.header and raw.removeprefix(BOM_UTF8).startswith(form.header.encode()):
            continue
        try:
            row = _read(form, raw)
            is_repeated = row is not None and before is not None and not form.follows(row, before)
        except BadLine as exc:
            raise BadFile(found.name, str(exc), number) from None
        if row is None or is_repeated:
            found.markers += row is None
            found.repeated += is_repeated
            continue
        if found.rows % BATCH_ROWS == 0:
            found.batches.append(found.size)
            progress(done)
        found.first, found.last, before = found.first or row, row, row
        found.rows += 1
        found.size += found.copy.write(msgspec.json.encode(row) + b"\n")
    progress(done)


def _read(form: FileFormat[Row], raw: bytes) -> Row | None:
    """Return a line's row, None if it says nothing; raise BadLine."""
    if not raw.isascii() or len(raw) > MAX_LINE_BYTES:
        raise BadLine(f"it is longer than {MAX_LINE_BYTES:,} bytes, or not text of ASCII alone")
    row = form.read(raw.decode("ascii").rstrip("\r\n"))
    start, stop = form.period
    if row is not None and not start <= row.start < stop:
        raise BadLine("its time is not in the period that the file's name gives")
    return row


@contextmanager
def _lines(path: Path) -> Iterator[tuple[Iterator[bytes], int]]:
    """Open a file's lines; yield them with how many bytes they are."""
    with ExitStack() as opened:
        if path.suffix == PACKED:
            with path.open("rb") as packed:
                packed.seek(-4, SEEK_END)
                size = int.from_bytes(packed.read(), "little")  # of what is packed, which only the progress depends on
            yield _limited(opened.enter_context(GzipFile(path)).readline), size or 1
            return
        if path.suffix != ".zip":
            file: IO[bytes] = opened.enter_context(path.open("rb"))
            yield _limited(file.readline), path.stat().st_size
            return
        archive = opened.enter_context(ZipFile(path))
        inside = [one for one in archive.infolist() if one.filename.endswith(".csv")]
        if len(inside) != 1:
            raise BadFile(path.name, f"there are {len(inside)} CSV files in it, not one")
        yield _limited(opened.enter_context(archive.open(inside[0])).readline), inside[0].file_size


def _limited(readline: Callable[[int], bytes]) -> Iterator[bytes]:
    """Yield lines, of one that is too long only a beginning that is too long as well."""
    return iter(lambda: readline(MAX_LINE_BYTES + 1), b"")


def _check_sum(path: Path) -> bool:
    """Compare a file with the .CHECKSUM beside it; return whether there is one, raise BadFile if it differs."""
    beside = path.with_name(f"{path.name}.CHECKSUM")
    try:
        if not beside.is_file():
            return False
        wanted = CHECKSUM.match(beside.read_text(encoding="ascii"))
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as exc:
        raise BadFile(path.name, f"it, or its checksum, cannot be read: {exc}") from None
    if wanted is None:
        raise BadFile(beside.name, "there is no SHA-256 at its beginning")
    if wanted[1].lower() != digest:
        raise BadFile(path.name, f"its SHA-256 is {digest}, but {beside.name} says {wanted[1].lower()}")
    return True
