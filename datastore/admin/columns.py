"""Columns that several pages of the datastore's rows share."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from actor_runtime.read_only_admin import ReadOnlyAdmin, exact_time
from datastore.models import FetchRequest, Market
from datastore.timeframes.timeframe import BASE

LIVE_RESOLUTION = 0  # of rows about our own feed


def market_page(symbol: str) -> str:
    """Return the address of a market's chart page."""
    return f"/markets/{quote(symbol, safe=':')}"


def timeframe_words(seconds: int, otherwise: str = "live") -> str:
    """Return the timeframe of this many seconds, 1m; what is said `otherwise` where there is none."""
    return BASE[seconds].name if seconds in BASE else otherwise


@admin.display(description="Timeframe", ordering="resolution")
def timeframe(row: Any) -> str:
    """Return a row's timeframe; of a request, that it is for trades."""
    return timeframe_words(row.resolution, "trades" if isinstance(row, FetchRequest) else "live")


def span_words(row: Any) -> str:
    """Return a row's [start, stop) as text."""
    return f"{exact_time(row.start)} to {exact_time(row.stop)}"


class TimeframeFilter(admin.SimpleListFilter):
    """Rows of one timeframe, by its name."""

    title, parameter_name = "timeframe", "resolution"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the stored timeframes, and what the other rows are about."""
        other = "trades" if model_admin.model is FetchRequest else "live"
        return [*((str(seconds), frame.name) for seconds, frame in BASE.items()), (str(LIVE_RESOLUTION), other)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows of the chosen timeframe."""
        value = self.value() or ""
        return queryset.filter(resolution=int(value)) if value.isdecimal() else queryset


class OfMarket(ReadOnlyAdmin):
    """Rows of one market and time: they are called so, and their page leads to the market's chart."""

    list_select_related = ["market"]

    def title_of(self, row: Any) -> str:
        """Return market, timeframe and time."""
        return f"{row.market} {timeframe(row)}, {span_words(row)}"

    def view_on_site(self, row: Any) -> str:
        """Return the market's page."""
        return market_page(row.market.symbol)


def confirmation(
    model_admin: admin.ModelAdmin[Any], request: HttpRequest, rows: QuerySet[Any], question: str, answer: str
) -> TemplateResponse | None:
    """Return the page that asks before an action that cannot be undone; None once the user has said yes.

    answer: the words of the button.
    """
    if request.POST.get("confirmed"):
        return None
    titles = [model_admin.title_of(row) if isinstance(model_admin, ReadOnlyAdmin) else str(row) for row in rows[:100]]
    context = {
        **model_admin.admin_site.each_context(request),
        "title": question,
        "answer": answer,
        "titles": titles,
        "more": rows.count() - len(titles),
        "opts": model_admin.opts,
        "fields": [
            (name, value)
            for name in ("action", "_selected_action", "select_across")
            for value in request.POST.getlist(name)
        ],
    }
    return TemplateResponse(request, "admin/confirm_action.html", context)


def market_link(market: Market) -> SafeString:
    """Return a link to a market's chart page."""
    return format_html('<a href="{}">{}</a>', market_page(market.symbol), market.symbol)


def by_whom(request: HttpRequest) -> str:
    """Return who acts, as rows and logs name them."""
    return f"{request.user.get_username()} (admin)"


def of_model(model: type[Model]) -> str:
    """Return the name of a model's list among the admin's addresses."""
    return f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
