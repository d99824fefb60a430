"""Answers of any length, sent part by part in bounded memory: a few at once, compressed as they go.

A server's thread is busy until its reader has taken the last byte, so only a third of them may be. The database's
session is free between two parts; one that a reader leaves idle is ended by the server (MAX_IDLE_S).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from threading import BoundedSemaphore
from typing import Any, Protocol

import structlog
import zstandard
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

from datastore.api.errors import Busy
from datastore.api.responses.compression import GZIP_LEVEL, GZIP_WINDOW, ZSTD, ZSTD_LEVEL, is_compressible, preferred
from datastore.requests.wake import SERVER_THREADS

MAX_IDLE_S = 60  # between two parts
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

    def __init__(self, parts: Callable[[], Iterator[bytes]], encoding: str | None) -> None:
        """Take a place and make the first part. Raises Busy, and whatever parts() raises first."""
        self._open = self._ended = False
        if not _places.acquire(blocking=False):
            raise Busy(f"{MAX_STREAMED} long answers are being sent, as many as may be at once. Ask again soon.")
        self._open = True
        self._parts = parts()
        self._packer = _packer(encoding)
        try:
            self._first: bytes | None = next(self._parts, b"")
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """Return the next bytes, never none before the end."""
        while not self._ended:
            try:
                part = self._next_part()
            except DatabaseError as exc:
                log.warning("answer broken off", reason=str(exc).partition("\n")[0])
                return self._last(BROKEN_OFF)
            except Exception as exc:
                log.error("answer broken off", exc_info=exc)
                return self._last(BROKEN_OFF)
            if part is None:
                return self._last(self._packer.flush() if self._packer else b"")
            if packed := self._packer.compress(part) if self._packer else part:
                return packed
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

    def _next_part(self) -> bytes | None:
        if self._first is not None:
            part, self._first = self._first, None
            return part
        return next(self._parts, None)

    def _last(self, data: bytes) -> bytes:
        self._ended = True
        if not data:
            self.close()
            raise StopIteration
        return data


def streamed(
    request: HttpRequest, parts: Callable[[], Iterator[bytes]], media_type: str, headers: dict[str, str]
) -> HttpResponseBase:
    """Return the answer that these parts make, compressed as the request asks; of HEAD, its headers alone."""
    encoding = preferred(request.META.get("HTTP_ACCEPT_ENCODING", "")) if is_compressible(media_type) else None
    headers = {"Cache-Control": "no-cache", **headers}
    if encoding:
        headers["Content-Encoding"] = encoding
    response: HttpResponseBase
    if request.method == "HEAD":
        response = HttpResponse(b"", content_type=media_type, headers=headers)
    else:
        response = StreamingHttpResponse(StreamedBody(parts, encoding), content_type=media_type, headers=headers)
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
