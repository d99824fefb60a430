"""What is proven, what is missing, and what differs: gaps, changes, feeds, comparisons and clocks in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from actor_runtime.read_only_admin import ReadOnlyAdmin, exact, exact_time, rows_table, shortened
from datastore.admin.columns import OfMarket, TimeframeFilter, market_page, timeframe, timeframe_words
from datastore.backfill.fetch_queue import enqueue, hurry
from datastore.backfill.gap_repair import reopen
from datastore.datastore_actor import request_spans
from datastore.models import (
    CandleDifference,
    CoverageChange,
    DatabaseClock,
    Feed,
    FetchRequest,
    GapRepair,
    ProviderClock,
    Reconciliation,
)
from datastore.requests.plan import MissingSpan
from datastore.wording import counted

VALUES = ("open", "high", "low", "close", "volume", "quote volume")


@admin.register(GapRepair)
class GapRepairAdmin(OfMarket):
    """Gaps and what is done about them."""

    list_display = ["market", timeframe, exact("start"), exact("stop"), "code", shortened("reason"), "attempts"]
    list_display += [exact("next_try"), "final"]
    list_filter = ["final", "code", TimeframeFilter, "market"]
    search_fields = ["market__symbol", "reason"]
    actions = ["repair_now", "ask_again"]
    page_url = "/gaps"

    def has_ask_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may have gaps asked for."""
        return request.user.has_perm("datastore.change_gaprepair")

    @admin.action(description="Repair now (gaps that are not final)", permissions=["ask"])
    def repair_now(self, request: HttpRequest, queryset: QuerySet[GapRepair]) -> None:
        """Request the selected open gaps now, without waiting for their next try."""
        asked = 0
        for gap in queryset.filter(final=False):
            missing = [MissingSpan(gap.resolution, gap.start, gap.stop)]
            made = request_spans(gap.market, timeframe_words(gap.resolution), missing, FetchRequest.Purpose.GAP)
            if made is not None:
                hurry(made.fetches)
                asked += 1
        messages.success(request, f"Asked for now: {counted(asked, 'gap')}.")
        if left := len(queryset) - asked:
            messages.warning(request, f"Nothing to ask for in {counted(left, 'gap')}: final, or already proven.")

    @admin.action(description="Ask the provider again (final gaps)", permissions=["ask"])
    def ask_again(self, request: HttpRequest, queryset: QuerySet[GapRepair]) -> None:
        """Fetch the selected final gaps once more; the others are asked for by themselves."""
        final = list(queryset.filter(final=True))
        for gap in final:
            with transaction.atomic():
                reopen(gap.market, gap.resolution, gap.start, gap.stop)
                enqueue(gap.market, gap.resolution, gap.start, gap.stop, FetchRequest.Purpose.BACKFILL)
        messages.success(request, f"Asked for again: {counted(len(final), 'final gap')}.")


@admin.register(CoverageChange)
class CoverageChangeAdmin(OfMarket):
    """Intervals whose certificate changed, by the version that shows it."""

    list_display = ["market", "version", "what", timeframe, exact("start"), exact("stop")]
    list_filter = ["what", TimeframeFilter, "market"]
    search_fields = ["market__symbol"]
    show_full_result_count = False
    ordering = ["-pk"]
    page_url = "/gaps"


@admin.register(Reconciliation)
class ReconciliationAdmin(OfMarket):
    """Spans compared with the provider's candles; `manage.py verify` lists the differences."""

    list_display = ["market", timeframe, exact("start"), exact("stop"), "compared", "different", "note"]
    list_display += [exact("created_at")]
    list_filter = [TimeframeFilter, "market"]
    search_fields = ["market__symbol", "note"]


@admin.register(CandleDifference)
class CandleDifferenceAdmin(ReadOnlyAdmin):
    """Candles that differ from the provider's, both sides as text."""

    list_display = ["market", "timeframe", exact("open_time"), "differs"]
    list_filter = ["reconciliation__market"]
    list_select_related = ["reconciliation__market"]
    search_fields = ["reconciliation__market__symbol"]
    fields = ["market", "timeframe", "open_time", "both"]
    readonly_fields = ["market", "timeframe", "both"]

    def title_of(self, row: CandleDifference) -> str:
        """Return the candle's market, timeframe and time."""
        return f"{self.market(row)} {self.timeframe(row)} at {exact_time(row.open_time)}"

    def view_on_site(self, row: CandleDifference) -> str:
        """Return the market's page."""
        return market_page(self.market(row))

    @admin.display(ordering="reconciliation__market")
    def market(self, row: CandleDifference) -> str:
        """Return the candle's market."""
        return str(row.reconciliation.market)

    @admin.display(ordering="reconciliation__resolution")
    def timeframe(self, row: CandleDifference) -> str:
        """Return the candle's timeframe."""
        return timeframe_words(row.reconciliation.resolution)

    @admin.display(description="Differs in")
    def differs(self, row: CandleDifference) -> str:
        """Return the values that differ, ours first."""
        if row.ours is None or row.theirs is None:
            return "only the provider has it" if row.ours is None else "only we have it"
        return "; ".join(f"{name} {ours} ≠ {theirs}" for name, ours, theirs in _compared(row) if ours != theirs)

    @admin.display(description="Values")
    def both(self, row: CandleDifference) -> SafeString:
        """Return each value, ours and the provider's."""
        return rows_table(("Value", "Ours", "The provider's"), _compared(row))


def _compared(row: CandleDifference) -> list[tuple[str, str, str]]:
    def side(values: Any) -> list[str]:
        known = values if isinstance(values, list) else []
        return [*("-" if value is None else str(value) for value in known), *["-"] * (len(VALUES) - len(known))]

    return list(zip(VALUES, side(row.ours), side(row.theirs), strict=False))


@admin.register(Feed)
class FeedAdmin(ReadOnlyAdmin):
    """Connections and how far they are acknowledged."""

    list_display = ["feed", *map(exact, ("connected", "acknowledged_until", "behind_since", "drained_at"))]
    list_filter = ["topic"]
    search_fields = ["feed"]
    page_url = "/system"


@admin.register(DatabaseClock)
class DatabaseClockAdmin(ReadOnlyAdmin):
    """The boot of the database's machine, from which steady time is counted."""

    list_display = ["boot", exact("booted_at"), "ahead", exact("newest"), exact("server_start")]
    page_url = "/system"


@admin.register(ProviderClock)
class ProviderClockAdmin(ReadOnlyAdmin):
    """Which provider's data this is, and the offset of its clock from steady time."""

    list_display = ["provider", "identity", "simulated", "clock_offset", exact("measured_at"), exact("certain_until")]
    page_url = "/system"
