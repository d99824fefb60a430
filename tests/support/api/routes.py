"""What the API serves: every route with its methods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.urls import URLPattern, URLResolver

from datastore.api.views.not_found import NotFoundView

METHODS = ("get", "post", "put", "patch", "delete")


def served(patterns: list[Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Yield every route with every method that its view serves."""
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from served(pattern.url_patterns, route)
        elif (view := view_of(pattern)) is not NotFoundView:
            yield from ((route, method.upper()) for method in METHODS if hasattr(view, method))


def view_of(pattern: URLPattern) -> type:
    view = getattr(pattern.callback, "view_class", None) or getattr(pattern.callback, "cls", None)
    assert view is not None, f"{pattern} is no class-based view: nothing guards it"
    return view  # type: ignore[no-any-return]
