"""Lists in pages of 100 rows and with their filters in the address, so that what is seen can be sent to a colleague."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import QuerySet
from django.http import QueryDict

Row = TypeVar("Row")
PAGE_ROWS = 100
MAX_PAGE = 10_000
MAX_TEXT_CHARS = 200  # of a filter


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows of a list; before, after: the questions that show its neighbours, None at the ends."""

    rows: list[Row]
    number: int
    before: str | None
    after: str | None


def page_of(rows: QuerySet[Any], query: QueryDict) -> Page[Any]:
    """Return the page of an ordered list that a question asks for, in one statement."""
    number = _number(query.get("page", ""))
    first = (number - 1) * PAGE_ROWS
    found = list(rows[first : first + PAGE_ROWS + 1])
    before = _turned(query, number - 1) if number > 1 else None
    after = _turned(query, number + 1) if len(found) > PAGE_ROWS else None
    return Page(found[:PAGE_ROWS], number, before, after)


def chosen(query: QueryDict, name: str, known: Collection[str] | None = None) -> str:
    """Return the value of a filter; "" if it is not set or is none of the known ones."""
    value = query.get(name, "").replace("\0", "").strip()[:MAX_TEXT_CHARS]
    return value if known is None or value in known else ""


def question(query: QueryDict, **changed: str | int | None) -> str:
    """Return a question with some of its parts changed, or removed by None; it begins with `?`."""
    parts = query.copy()
    for name, value in {"part": None, **changed}.items():
        if value is None:
            parts.pop(name, None)
        else:
            parts[name] = str(value)
    return f"?{parts.urlencode()}"


def _turned(query: QueryDict, number: int) -> str:
    return question(query, page=number if number > 1 else None)


def _number(text: str) -> int:
    return min(max(int(text), 1), MAX_PAGE) if text.isascii() and text.isdecimal() and len(text) < 9 else 1
