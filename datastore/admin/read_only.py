"""What the admin pages share whose rows only the platform writes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest


def cell(value: object) -> str:
    """Return a value as exact text: the template's localisation would round it."""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    return "" if value is None else str(value)


def exact(field: str) -> Any:
    """Return a list column that shows a time to the microsecond: the locale's format omits seconds."""

    @admin.display(description=field.replace("_", " "), ordering=field)
    def shown(row: Any) -> str:
        return cell(getattr(row, field)) or "-"

    return shown


class ReadOnlyAdmin(admin.ModelAdmin[Any]):
    """Rows that only the platform writes: an edit by hand could make the certificate untrue."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return False."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return False."""
        return False
