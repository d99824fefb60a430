"""Answers compressed on request: zstd or gzip, whichever Accept-Encoding prefers, zstd if both are liked alike.

Weak ETags stay as they are: they name what an answer says, not how it is packed.
"""

from __future__ import annotations

import re
import threading
import zlib
from collections.abc import Callable
from typing import Any

import zstandard
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from rest_framework.request import Request
from rest_framework.views import APIView

MIN_BYTES = 1024  # below, the headers cost more than is saved
ZSTD, GZIP = "zstd", "gzip"
ZSTD_LEVEL, GZIP_LEVEL = 1, 1  # candles grow no smaller by higher ones, only by gzip's at five times the time
GZIP_WINDOW = 16 + zlib.MAX_WBITS  # 16: with gzip's header and checksum
COMPRESSIBLE = ("application/json", "text/", "application/x-ndjson", "application/vnd.apache.arrow.stream")
_QUALITY = re.compile(r"q=([01](?:\.[0-9]{0,3})?)", re.IGNORECASE)
_of_thread = threading.local()


class CompressedView(APIView):
    """A view whose answers are compressed as the request's Accept-Encoding asks."""

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the answer, compressed."""
        return compress(request._request, super().finalize_response(request, response, *args, **kwargs))


def compress(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Return the response, compressed if that is asked for and worth it; nothing is compressed twice."""
    if not isinstance(response, HttpResponse) or not getattr(response, "is_rendered", True):
        return response
    if response.status_code != 200 or response.has_header("Content-Encoding"):
        return response
    kind = response.headers.get("Content-Type", "")
    if not kind.startswith(COMPRESSIBLE) or len(response.content) < MIN_BYTES:
        return response

    patch_vary_headers(response, ("Accept-Encoding",))
    encoding = preferred(request.META.get("HTTP_ACCEPT_ENCODING", ""))
    if encoding:
        response.content = PACK[encoding](response.content)
        response.headers["Content-Encoding"] = encoding
        response.headers["Content-Length"] = str(len(response.content))
    return response


def preferred(accepted: str) -> str | None:
    """Return the encoding to use for an Accept-Encoding header (RFC 9110, 12.5.3), None for no compression."""
    wishes: dict[str, float] = {}
    for part in accepted.lower().split(","):
        name, _, parameters = part.partition(";")
        quality = _QUALITY.search(parameters)
        wishes[name.strip()] = float(quality[1]) if quality else 1.0
    anything = wishes.get("*", 0.0)
    liked = {name: wishes.get(name, anything) for name in PACK}
    best = max(liked, key=liked.__getitem__)  # of equals the first
    return best if liked[best] > 0 and liked[best] >= wishes.get("identity", 0.0) else None


def _zstd(content: bytes) -> bytes:
    # Making a compressor costs more than a small answer does; it must not be shared between threads.
    if not hasattr(_of_thread, ZSTD):
        _of_thread.zstd = zstandard.ZstdCompressor(level=ZSTD_LEVEL)
    packed: bytes = _of_thread.zstd.compress(content)
    return packed


PACK: dict[str, Callable[[bytes], bytes]] = {
    ZSTD: _zstd,
    GZIP: lambda content: zlib.compress(content, GZIP_LEVEL, GZIP_WINDOW),
}
