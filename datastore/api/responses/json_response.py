"""JSON answers as bytes: rows come out of the database as text and are never touched cell by cell."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

CONDITIONS = frozenset({"HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH", "HTTP_IF_UNMODIFIED_SINCE"})


class JsonAlways(DefaultContentNegotiation):
    """Answers JSON whatever Accept says, so that a browser sees the data and never a 406."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """Return the first renderer and its media type."""
        first = next(iter(renderers))
        return first, first.media_type or ""


def json_answer(body: Any, headers: Mapping[str, str] | None = None, status: int = 200) -> HttpResponse:
    """Return body as JSON; caches may keep it but must revalidate it (no-cache)."""
    return ready_answer(msgspec.json.encode(body), headers, status)


def ready_answer(body: bytes, headers: Mapping[str, str] | None = None, status: int = 200) -> HttpResponse:
    """Return bytes that are JSON already."""
    return HttpResponse(
        body,
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-cache", **(headers or {})},
    )


def unless_known(request: HttpRequest, tag: str) -> HttpResponseBase | None:
    """Return 304 if If-None-Match names this tag, 412 if If-Match does not, else None."""
    if CONDITIONS.isdisjoint(request.META):
        return None
    response = HttpResponse(headers={"Cache-Control": "no-cache", "ETag": tag})
    answer = get_conditional_response(request, etag=tag, response=response)
    return None if answer is response else answer


def pack(*parts: str | int | None) -> str:
    """Return parts as one opaque text that fits into a URL unescaped; unpack() gives them back."""
    return base64.urlsafe_b64encode(msgspec.json.encode(parts)).rstrip(b"=").decode()


def unpack(text: str, shape: Any) -> Any:
    """Return the parts of a packed text as shape (a tuple type); raise ValueError if pack() did not make it."""
    try:
        raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(raw, type=shape)
    except (UnicodeEncodeError, binascii.Error, msgspec.MsgspecError, UnicodeDecodeError):
        raise ValueError("is not a cursor that this API gave out.") from None
