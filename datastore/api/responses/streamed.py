"""Answers of any length, sent part by part in bounded memory: a few at once, compressed as they go.

A part is a list of blocks, which are not put together: that would hold and copy each byte twice.

A server's thread is busy until its reader has taken the last byte, so only a third of them may be. The database's
session is free between two parts; one that a reader leaves idle is ended by the server (MAX_IDLE_S). The thread itself
waits in the send, until the kernel cuts the reader off (config/supervision/web.py).
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from threading import BoundedSemaphore
from typing import Any, Protocol

import structlog
import zstandard
from django.db import DatabaseError
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

from datastore.api.errors import Busy
from datastore.api.responses.compression import COMPRESSIBLE, GZIP_LEVEL, GZIP_WINDOW, ZSTD, ZSTD_LEVEL, preferred
from datastore.requests.wake import SERVER_THREADS

MAX_IDLE_S = 60  # between two parts
# The server takes dozens of pieces in advance, however large they are.
PIECE_BYTES = 65_536
MAX_STREAMED = max(SERVER_THREADS // 3, 1)
# WSGI cannot break an answer off: its end would look like any other. No reader takes this for a row: the quotation mark
# is never closed, and what was packed is not finished.
BROKEN_OFF = b'\n"This answer is not whole: it was broken off. Ask again.'
_places = BoundedSemaphore(MAX_STREAMED)
log = structlog.get_logger(__name__)


class _Packer(Protocol):
    def compress(self, data: bytes) -> bytes: ...
    def flush(self) -> bytes: ...


class StreamedBody:
    """The bytes of an answer, begun already, so that what fails at once is a problem and not half an answer."""

    def __init__(self, parts: Callable[[], Iterator[list[bytes]]], encoding: str | None) -> None:
        """Take a place and make the first part. Raises Busy, and whatever parts() raises first."""
        self._open = self._ended = False
        if not _places.acquire(blocking=False):
            raise Busy(f"{MAX_STREAMED} long answers are being sent, as many as may be at once. Ask again soon.")
        self._open = True
        self._parts = parts()
        self._packer = _packer(encoding)
        self._made: deque[bytes] = deque()
        try:
            self._first: list[bytes] | None = next(self._parts, [])
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """Return the next piece, never an empty one."""
        while not self._made and not self._ended:
            for block in self._packed():
                # Most blocks are short enough to be sent as they are.
                short = len(block) <= PIECE_BYTES
                self._made.extend(
                    [block] if short else (block[at : at + PIECE_BYTES] for at in range(0, len(block), PIECE_BYTES))
                )
        if self._made:
            return self._made.popleft()
        self.close()
        raise StopIteration

    def close(self) -> None:
        """End the reading and give the place back; called when the answer was sent, or its reader went away."""
        if self._open:
            self._open = False
            try:
                self._parts.close()  # type: ignore[attr-defined]  # a generator
            finally:
                _places.release()

    def __del__(self) -> None:
        # A middleware may have failed after the view: nobody closes an answer that is never sent.
        self.close()

    def _packed(self) -> list[bytes]:
        """Return the next part as it is sent, without empty blocks; of the last one, with all that follows."""
        try:
            part = next(self._parts, None) if self._first is None else self._first
            self._first = None
        except Exception as exc:
            # Whatever it was, the reader must not take what was sent for the whole.
            self._ended = True
            if isinstance(exc, DatabaseError):
                log.warning("answer broken off", reason=str(exc).partition("\n")[0])
            else:
                log.error("answer broken off", exc_info=exc)
            return [BROKEN_OFF]
        if part is None:
            self._ended = True
            part = [self._packer.flush()] if self._packer else []
        elif self._packer:
            part = [self._packer.compress(block) for block in part]
        return [block for block in part if block]


def streamed(
    request: HttpRequest, parts: Callable[[], Iterator[list[bytes]]], media_type: str, headers: dict[str, str]
) -> HttpResponseBase:
    """Return the answer that these parts make, compressed as the request asks; of HEAD, its headers alone."""
    encoding = preferred(request.META.get("HTTP_ACCEPT_ENCODING", "")) if media_type.startswith(COMPRESSIBLE) else None
    headers = {"Cache-Control": "no-cache", **headers}
    if encoding:
        headers["Content-Encoding"] = encoding
    body: Iterable[bytes] = () if request.method == "HEAD" else StreamedBody(parts, encoding)
    response = StreamingHttpResponse(body, content_type=media_type, headers=headers)  # of no length: HEAD knows none
    patch_vary_headers(response, ("Accept", "Accept-Encoding"))
    return response


def _packer(encoding: str | None) -> _Packer | None:
    if encoding is None:
        return None
    packer: Any
    if encoding == ZSTD:
        packer = zstandard.ZstdCompressor(level=ZSTD_LEVEL).compressobj()
    else:
        packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, GZIP_WINDOW)
    made: _Packer = packer
    return made
