"""Lists that are read page by page: the cursor, opaque to its reader, names the last row of the previous page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple, TypeVar
from urllib.parse import urlencode

import msgspec
from django.db.models import Model, QuerySet

from datastore.api.errors import BadParameters
from datastore.api.responses.json_response import pack, unpack

Row = TypeVar("Row", bound=Model)


class PagePosition(NamedTuple):
    """A position in a list: after the row with this id."""

    id: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


def position_of(cursor: str, shape: Any) -> Any:
    """Return the position that a cursor names, as shape (a tuple type). Raises BadParameters."""
    try:
        return unpack(cursor, shape)
    except ValueError as exc:
        raise BadParameters({"cursor": [str(exc)]}) from None


def newest_first(rows: QuerySet[Row], cursor: str | None, limit: int) -> list[Row]:
    """Return a page of rows and, if there is one, the next row. Raises BadParameters."""
    ordered = rows.order_by("-id")
    rest = ordered if cursor is None else ordered.filter(pk__lt=position_of(cursor, PagePosition).id)
    return list(rest[: limit + 1])


def next_page(path: str, found: Sequence[Row], limit: int, **asked: Any) -> str | None:
    """Return the address of the page after what newest_first() found, None if that was the last.

    asked: the rest of the question; what is None in it was not asked for.
    """
    return page_address(path, limit, pack(found[limit - 1].pk), **asked) if len(found) > limit else None


def page_address(path: str, limit: int, cursor: str, **asked: Any) -> str:
    """Return the address of the page behind a cursor; asked: as in next_page()."""
    parts = {**asked, "limit": limit, "cursor": cursor}
    return f"{path}?{urlencode({name: value for name, value in parts.items() if value is not None}, safe=':')}"
