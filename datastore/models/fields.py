"""Columns that Django has no field for."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django import forms
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

if TYPE_CHECKING:
    DecimalColumn = models.Field[Any, Any]
else:
    DecimalColumn = models.Field


class ExactDecimalField(DecimalColumn):
    """NUMERIC of any precision: a price keeps the digits that it came with."""

    description = "Exact decimal"

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        """Return the column's type."""
        return "numeric"

    def get_internal_type(self) -> str:
        """Return a name for which no backend has a converter: psycopg reads and writes Decimal itself."""
        return "ExactDecimalField"

    def to_python(self, value: Any) -> Decimal | None:
        """Return the value as a Decimal."""
        return None if value is None else Decimal(str(value))

    def formfield(self, **kwargs: Any) -> Any:
        """Return a form field that shows all digits."""
        return super().formfield(**{"form_class": forms.DecimalField, **kwargs})
