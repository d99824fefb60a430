"""Times and numbers as the pages show them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from actor_runtime.admin import span
from datastore.wording import bytes_text

register = template.Library()
NOTHING = "-"


@register.filter
def ago(moment: datetime | None) -> SafeString:
    """Return a time as its age, which the browser keeps up to date; the exact time is its title."""
    return _time(moment, "ago")


@register.filter
def clock(moment: datetime | None) -> SafeString:
    """Return a time to the millisecond, in the zone that the reader chose."""
    return _time(moment, "exact")


def _time(moment: datetime | None, form: str) -> SafeString:
    if moment is None:
        return format_html('<span class="muted">{}</span>', NOTHING)
    exact = moment.astimezone(UTC)
    age = span(abs((datetime.now(UTC) - exact).total_seconds()))
    shown = f"{exact:%Y-%m-%d %H:%M:%S}.{exact.microsecond // 1000:03d}"
    words = (f"in {age}" if exact > datetime.now(UTC) else f"{age} ago") if form == "ago" else shown
    return format_html(
        '<time datetime="{}Z" data-form="{}" title="{} UTC">{}</time>', shown.replace(" ", "T"), form, shown, words
    )


@register.filter
def spelled(seconds: float | None) -> str:
    """Return a length of time in the unit that suits it: 4 s, 12 min, 3 h, 5 d."""
    return NOTHING if seconds is None else span(float(seconds))


@register.filter
def grouped(value: Any) -> str:
    """Return a number with its thousands apart; text that is no number as it is."""
    if value is None or value == "":
        return NOTHING
    try:
        return f"{Decimal(str(value)):,f}"
    except ArithmeticError:
        return str(value)


@register.filter
def worded(text: str) -> SafeString:
    """Return a text whose parts between backticks are code."""
    parts = str(text).split("`")
    return format_html_join(
        "", "{}", ((format_html("<code>{}</code>", part) if n % 2 else part,) for n, part in enumerate(parts))
    )


@register.filter
def exact(value: Decimal | None) -> str:
    """Return a decimal with all of its digits and no zeros behind them."""
    if value is None:
        return NOTHING
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


@register.filter
def in_bytes(size: float | None) -> str:
    """Return a number of bytes in the unit that suits it."""
    return NOTHING if size is None else bytes_text(size)
