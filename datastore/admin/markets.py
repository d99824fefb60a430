"""Markets in the admin, and the provider's list of those that may be asked for.

Django's admin cannot register models with composite keys (5.2 raises ImproperlyConfigured), so the newest trades,
candles, spans and feed positions are on their market's page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Count, DateTimeField, F, Func, Model, QuerySet, Sum, TextField
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from actor_runtime.admin import span
from actor_runtime.read_only_admin import ReadOnlyAdmin, cell, exact, exact_time
from datastore.admin.columns import confirmation, market_page, of_model
from datastore.backfill.newest import request_newest
from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement
from datastore.models import (
    Candle,
    CandleDifference,
    Coverage,
    CoverageChange,
    DatastoreRequest,
    DynamicTopic,
    FeedPosition,
    FetchRequest,
    GapRepair,
    IdRange,
    Market,
    Pair,
    ProviderCandle,
    Reconciliation,
    Stream,
    Tick,
)
from datastore.quality.freshness import feed_state
from datastore.reference.markets import follow, unfollow
from datastore.reference.staleness import stale_after
from datastore.timeframes.intervals import moment
from datastore.wording import counted

NEWEST_ROWS = 20


@dataclass(frozen=True, slots=True)
class NewestRows:
    """A table of a market's newest rows: of which model, in which order, with which columns."""

    title: str
    model: type[Model]
    order: tuple[str, ...]
    columns: tuple[str, ...]
    where: Mapping[str, Any]

    def read(self, market: Market) -> dict[str, Any]:
        """Return the title, columns and cells for the template."""
        rows: QuerySet[Any, Any] = self.model._default_manager.filter(market=market, **self.where)
        cells = rows.order_by(*self.order).values_list(*self.columns)[:NEWEST_ROWS]
        return {
            "title": self.title,
            "columns": [name.replace("_", " ") for name in self.columns],
            "rows": [[cell(value) for value in row] for row in cells],
        }


_OHLCV = ("open_time", "open", "high", "low", "close", "volume", "quote_volume")
_CANDLE_COLUMNS = (*_OHLCV, "trades", "version", "revision")
_PROVIDER_COLUMNS = (*_OHLCV, "version", "revision")
_BY_TIME = ("-open_time",)
TABLES = (
    NewestRows("Minute candles", Candle, _BY_TIME, _CANDLE_COLUMNS, {"resolution": 60}),
    NewestRows("Hour candles", Candle, _BY_TIME, _CANDLE_COLUMNS, {"resolution": 3600}),
    NewestRows("Day candles", Candle, _BY_TIME, _CANDLE_COLUMNS, {"resolution": 86400}),
    NewestRows("The provider's minute candles", ProviderCandle, _BY_TIME, _PROVIDER_COLUMNS, {"resolution": 60}),
    NewestRows("The provider's hour candles", ProviderCandle, _BY_TIME, _PROVIDER_COLUMNS, {"resolution": 3600}),
    NewestRows("The provider's day candles", ProviderCandle, _BY_TIME, _PROVIDER_COLUMNS, {"resolution": 86400}),
    NewestRows(
        "Trades",
        Tick,
        ("-ts", "-trade_id"),
        ("ts", "seq", "trade_id", "first_id", "last_id", "price", "amount", "side", "received_at"),
        {},
    ),
    NewestRows("Stored ids", IdRange, ("-first",), ("first", "last", "since", "until", "doubted"), {}),
    NewestRows(
        "Coverage",
        Coverage,
        ("-start",),
        ("proof", "source", "feed", "resolution", "start", "stop", "code", "reason", "version"),
        {},
    ),
    NewestRows("Feeds", FeedPosition, ("feed",), ("feed", "last_n", "unbroken", "start", "stop", "reason"), {}),
)
# The lists of a market's rows, and by which of their parameters it is chosen.
_LISTS: tuple[tuple[type[Model], str], ...] = (
    (GapRepair, "market__id__exact"),
    (FetchRequest, "market__id__exact"),
    (Reconciliation, "market__id__exact"),
    (CandleDifference, "reconciliation__market__id__exact"),
    (CoverageChange, "market__id__exact"),
    (Stream, "market__id__exact"),
    (DynamicTopic, "market__id__exact"),
)


@admin.register(Market)
class MarketAdmin(ReadOnlyAdmin):
    """Markets, each with its figures and its newest rows."""

    list_display = [
        "symbol",
        "provider",
        "followed",
        "proven",
        "proof",
        exact("live_stop"),
        exact("watermark"),
        "refused",
    ]
    readonly_fields = ["proven", "proof", "refused"]
    fields = ["symbol", "exchange", "base", "quote", "provider", "provider_exchange", "provider_base", "provider_quote"]
    fields += ["followed", "refusal", "refused_since", "series", "version", "watermark", "live_stop", "ticks_from"]
    list_filter = ["followed", ("refusal", admin.EmptyFieldListFilter), "provider", "exchange"]
    search_fields = ["symbol"]
    actions = ["follow_markets", "unfollow_markets"]
    page_url = "/"

    def view_on_site(self, market: Market) -> str:
        """Return the market's chart page."""
        return market_page(market.symbol)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Market]:
        """Return the markets with their proof and their provider's time."""
        now = Func(F("provider"), function="provider_now", output_field=DateTimeField())
        proof = Func("id", "live_stop", function="live_proof", output_field=TextField())
        markets: QuerySet[Market] = super().get_queryset(request).annotate(now=now, live_proof=proof)
        return markets

    @admin.display(description="Proven until", ordering="live_stop")
    def proven(self, market: Market) -> SafeString | str:
        """Return how long ago the newest proven instant of the feed was; red if a followed feed is stale."""
        if market.live_stop is None:
            return "nothing yet"
        age = market.now - market.live_stop  # type: ignore[attr-defined]
        pulse = "free" if not market.followed else "stale" if age > stale_after() else "fresh"
        return format_html('<span class="actor-pulse {}">{}</span>', pulse, span(age.total_seconds()))

    @admin.display(description="Proof", ordering="live_proof")
    def proof(self, market: Market) -> str:
        """Return what the newest proven instant rests on."""
        return market.live_proof or ""  # type: ignore[attr-defined]

    @admin.display(description="Refused", ordering="refused_since")
    def refused(self, market: Market) -> SafeString | str:
        """Return why and since when the provider refuses its feed."""
        if not market.refusal:
            return "-"
        since = exact_time(market.refused_since) if market.refused_since else "an unknown time"
        return format_html('<span class="long">{}, since {}</span>', market.refusal, since)

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Show the market with its figures, its lists and, below them, its newest rows."""
        market = context["original"]
        context |= {
            "figures": figures(market),
            "chart_url": market_page(market.symbol),
            "lists": lists(market),
            "tables": [table.read(market) for table in TABLES],
        }
        return super().render_change_form(request, context, *args, **kwargs)

    def has_follow_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may say which markets are followed."""
        return request.user.has_perm("datastore.change_market")

    @admin.action(description="Follow: take their feeds from now on", permissions=["follow"])
    def follow_markets(self, request: HttpRequest, queryset: QuerySet[Market]) -> None:
        """Follow the selected markets and ask for their newest history, as the API does."""
        followed = 0
        for market in queryset:
            with transaction.atomic():
                if follow(market):
                    request_newest([market])
                    followed += 1
        messages.success(request, f"Followed from now on: {counted(followed, 'market')}.")

    @admin.action(description="No longer follow: keep what is stored", permissions=["follow"])
    def unfollow_markets(self, request: HttpRequest, queryset: QuerySet[Market]) -> HttpResponse | None:
        """Ask first; then end the feeds of the selected markets: what is traded meanwhile is a gap later."""
        question = "End the feeds of these markets? Trades from now on are not taken; what is stored stays."
        if page := confirmation(self, request, queryset, question, "No longer follow them"):
            return page
        ended = sum(unfollow(market) for market in queryset)
        messages.success(request, f"No longer followed: {counted(ended, 'market')}.")
        return None


def figures(market: Market) -> list[tuple[str, str, str]]:
    """Return the market's figures: their names, values, and whether they are good, a warning or an error."""
    ((*_, watermark, live_stop, freshness, first, newest, price, is_open, refusal, _, proof),) = fetch_all(
        statement("api", "markets"), {"symbol": market.symbol, "stale": stale_after()}
    )
    feed = "refused" if refusal else feed_state(is_open, freshness)
    gaps = dict(GapRepair.objects.filter(market=market).values_list("final").annotate(Count("pk")))
    compared = Reconciliation.objects.filter(market=market).aggregate(all=Sum("compared"), differ=Sum("different"))
    under_way = FetchRequest.objects.filter(market=market, state__in=FetchRequest.ACTIVE).count()
    open_gaps, differ = gaps.get(False, 0), compared["differ"] or 0
    return [
        ("Feed", feed, "good" if feed == "live" else "warning" if market.followed else ""),
        ("Behind", "-" if freshness is None else span(freshness / 1000), ""),
        ("Proof", proof or "none yet", ""),
        ("Proven until", _at(live_stop), ""),
        ("Watermark", _at(watermark), ""),
        ("First candle", _at(first), ""),
        ("Newest candle", _at(newest), ""),
        ("Last price", price or "-", ""),
        ("Open gaps", f"{open_gaps:,}", "warning" if open_gaps else "good"),
        ("Final gaps", f"{gaps.get(True, 0):,}", ""),
        ("Requests under way", f"{under_way:,}", ""),
        ("Candles compared", f"{compared['all'] or 0:,}", ""),
        ("Differences", f"{differ:,}", "error" if differ else "good"),
    ]


def _at(milliseconds: int | None) -> str:
    return "-" if milliseconds is None else exact_time(moment(milliseconds * 1000))


def lists(market: Market) -> list[tuple[str, str]]:
    """Return the lists of the market's rows, each with its address."""
    found = [
        (str(model._meta.verbose_name_plural).capitalize(), f"{reverse(of_model(model))}?{urlencode({by: market.pk})}")
        for model, by in _LISTS
    ]
    asked = f"{reverse(of_model(DatastoreRequest))}?{urlencode({'q': market.symbol})}"
    return [*found, (str(DatastoreRequest._meta.verbose_name_plural).capitalize(), asked)]


@admin.register(Pair)
class PairAdmin(ReadOnlyAdmin):
    """The provider's list: the markets that may be asked for."""

    list_display = ["symbol", "provider", "provider_exchange", "provider_base", "provider_quote", "active"]
    list_display += [exact("seen_at")]
    list_filter = ["active", "provider", "exchange"]
    search_fields = ["symbol"]
    show_full_result_count = False  # some providers list thousands
    page_url = "/"
