"""Answers compressed on request: zstd or gzip, whichever the asker likes better, zstd where both are liked alike.

Weak ETags stay as they are: they name what is said, not how it is packed.
"""

from __future__ import annotations

import re
import threading
import zlib
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import zstandard
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

MIN_BYTES = 1024  # bytes: below, the headers cost more than is saved
ZSTD, GZIP = "zstd", "gzip"
ZSTD_LEVEL, GZIP_LEVEL = 1, 1  # candles grow no smaller by higher ones, only by gzip's at five times the time
GZIP_WINDOW = 16 + zlib.MAX_WBITS  # 16: with gzip's header and checksum
COMPRESSIBLE = ("application/json", "text/")
_QUALITY = re.compile(r"q=([01](?:\.[0-9]{0,3})?)", re.IGNORECASE)
_of_thread = threading.local()

View = Callable[..., HttpResponseBase]


def compressed(view: View) -> View:
    """Compress the view's answers as the request's Accept-Encoding asks."""

    @wraps(view)
    def packed(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return compress(request, view(request, *args, **kwargs))

    return packed


def compress(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Return the response, packed where that is asked for, and worth it; nothing is packed twice."""
    if not isinstance(response, HttpResponse) or not _worth_it(response):
        return response
    patch_vary_headers(response, ("Accept-Encoding",))
    encoding = preferred(request.META.get("HTTP_ACCEPT_ENCODING", ""))
    if encoding:
        response.content = PACK[encoding](response.content)
        response.headers["Content-Encoding"] = encoding
        response.headers["Content-Length"] = str(len(response.content))
    return response


def preferred(accepted: str) -> str | None:
    """Return the encoding to use for an Accept-Encoding header, None where the asker wants none of ours."""
    wishes = dict(_wishes(accepted))
    anything = wishes.get("*", 0.0)
    liked = {name: wishes.get(name, anything) for name in PACK}
    best = max(liked, key=liked.__getitem__)  # of equals the first
    return best if liked[best] > 0 and liked[best] >= wishes.get("identity", 0.0) else None


def _wishes(accepted: str) -> Iterator[tuple[str, float]]:
    for part in accepted.lower().split(","):
        name, _, parameters = part.partition(";")
        quality = _QUALITY.search(parameters)
        yield name.strip(), float(quality[1]) if quality else 1.0


def _worth_it(response: HttpResponse) -> bool:
    if response.status_code != 200 or response.has_header("Content-Encoding"):
        return False
    if not getattr(response, "is_rendered", True):
        return False
    kind = response.headers.get("Content-Type", "")
    return kind.startswith(COMPRESSIBLE) and len(response.content) >= MIN_BYTES


def _zstd(content: bytes) -> bytes:
    # Making a compressor costs more than a small answer does; it must not be shared between threads.
    if not hasattr(_of_thread, ZSTD):
        _of_thread.zstd = zstandard.ZstdCompressor(level=ZSTD_LEVEL)
    found: bytes = _of_thread.zstd.compress(content)
    return found


def _gzip(content: bytes) -> bytes:
    return zlib.compress(content, GZIP_LEVEL, GZIP_WINDOW)


PACK: dict[str, Callable[[bytes], bytes]] = {ZSTD: _zstd, GZIP: _gzip}
