"""What admin pages share whose rows only the platform writes: exact times, readable JSON, titles in words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import FieldDoesNotExist
from django.db.models import DateTimeField, JSONField, Model
from django.forms import CheckboxInput
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst

Shown = Callable[[Any], Any]
NOTHING = "-"


def exact_time(moment: datetime) -> str:
    """Return a time in the one form of all admin pages: UTC, to the millisecond."""
    at = moment.astimezone(UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}"


def cell(value: object) -> str:
    """Return a value as exact text: the template's localisation would round it."""
    if isinstance(value, datetime):
        return exact_time(value)
    return "" if value is None else str(value)


def exact(field: str, words: str = "") -> Any:
    """Return a column that shows a time to the millisecond: the locale's format omits seconds."""

    def shown(row: Any) -> SafeString | str:
        value = getattr(row, field)
        return NOTHING if value is None else format_html('<span class="exact">{}</span>', exact_time(value))

    return _column(shown, field, words)


def shortened(field: str, words: str = "", length: int = 90) -> Any:
    """Return a column that shows the beginning of a long text; all of it is its title."""

    def shown(row: Any) -> SafeString | str:
        text = getattr(row, field) or ""
        if len(text) <= length:
            return format_html('<span class="long">{}</span>', text or NOTHING)
        return format_html('<span class="long" title="{}">{}…</span>', text, text[:length])

    return _column(shown, field, words)


def readable(field: str) -> Any:
    """Return a column that shows JSON indented, and a list of words as words."""

    def shown(row: Any) -> SafeString | str:
        return json_words(getattr(row, field))

    return _column(shown, field, "")


def json_words(value: Any) -> SafeString | str:
    """Return JSON for people: a list of plain values as a line, anything deeper indented."""
    if isinstance(value, list) and not any(isinstance(one, list | dict) for one in value):
        return ", ".join(map(str, value)) or NOTHING
    return format_html("<pre>{}</pre>", json.dumps(value, indent=2, ensure_ascii=False))


def _column(shown: Shown, field: str, words: str) -> Any:
    shown.__name__ = field  # the class of its cells, and by which the model's help text is found
    return admin.display(description=words or field.rpartition("__")[2].replace("_", " "), ordering=field)(shown)


def rows_table(heads: Iterable[str], rows: Iterable[Sequence[object]]) -> SafeString:
    """Return a table that scrolls in its own box where it is wide."""
    head = format_html_join("", '<th scope="col">{}</th>', ((name,) for name in heads))
    cells = (format_html_join("", "<td>{}</td>", ((value,) for value in row)) for row in rows)
    body = format_html_join("", "<tr>{}</tr>", ((row,) for row in cells))
    table = '<div class="actor-log"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>'
    return format_html(table, head, body)


class ExactAdmin(admin.ModelAdmin[Any]):
    """Pages whose times are exact, whose titles are words, and which link to the page about the same thing."""

    page_url = ""  # of the page that shows these rows to everybody
    view_on_site: Any = False

    def title_of(self, row: Any) -> str:
        """Return what a row is called on its page."""
        return str(row)

    def action_checkbox(self, obj: Any) -> SafeString:
        """Return a row's checkbox, which screen readers call by the row's title."""
        checkbox = CheckboxInput({"class": "action-select", "aria-label": self.title_of(obj)}, lambda value: False)
        return checkbox.render(ACTION_CHECKBOX_NAME, str(obj.pk))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the fields with those that nobody edits in their readable form."""
        edited = self.has_change_permission(request, obj) if obj else True
        kept = set() if not edited else {f.name for f in self.opts.get_fields() if getattr(f, "editable", False)}
        return [
            (name, {**options, "fields": [one if one in kept else self._readable(one) for one in options["fields"]]})
            for name, options in super().get_fieldsets(request, obj)
        ]

    def _readable(self, name: Any) -> Any:
        try:
            field = self.opts.get_field(name) if isinstance(name, str) else None
        except FieldDoesNotExist:
            return name  # of a method
        if isinstance(field, DateTimeField):
            return exact(field.name, str(field.verbose_name))
        return readable(field.name) if isinstance(field, JSONField) else name

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Show a row under its title."""
        if context.get("original") is not None:
            context |= {"title": self.title_of(context["original"]), "subtitle": capfirst(str(self.opts.verbose_name))}
        return super().render_change_form(request, context, *args, **kwargs)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show the list under its name, with a link to the page about the same rows."""
        named = {"title": capfirst(str(self.opts.verbose_name_plural)), "page_url": self.page_url}
        return super().changelist_view(request, {**named, **(extra_context or {})})


class ReadOnlyAdmin(ExactAdmin):
    """Rows that only the platform writes: an edit by hand could make the certificate untrue."""

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the fields that are named, else all columns and what the page adds to them."""
        if self.fields:
            return self.fields
        columns = [field.name for field in self.opts.concrete_fields]
        return [*columns, *(name for name in self.get_readonly_fields(request, obj) if name not in columns)]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return False."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return False."""
        return False
