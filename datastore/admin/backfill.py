"""What the provider is asked for, and for whom, in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from actor_runtime.admin import ActorAdmin
from actor_runtime.read_only_admin import exact, exact_time, shortened
from datastore.admin.columns import OfMarket, TimeframeFilter, timeframe, timeframe_words
from datastore.backfill.trade_backfill import CannotBackfill
from datastore.datastore_actor import request_spans, request_trade_history
from datastore.models import DatastoreRequest, FetchRequest
from datastore.requests.plan import MissingSpan
from datastore.wording import counted


@admin.register(FetchRequest)
class FetchRequestAdmin(OfMarket):
    """What the provider is asked for, from the queue to the database."""

    list_display = ["id", "market", timeframe, exact("start"), exact("stop"), "purpose", "progress", "pages"]
    list_display += [shortened("error", length=80), "held_by"]
    list_filter = ["state", "purpose", TimeframeFilter, "market"]
    search_fields = ["market__symbol", "worker", "error"]
    actions = ["fetch_again"]
    page_url = "/requests"

    @admin.display(description="State", ordering="state")
    def progress(self, row: FetchRequest) -> SafeString | str:
        """Return its state, and before when it is not tried again."""
        state = FetchRequest.State(row.state).label
        if row.next_try is None or row.state not in FetchRequest.ACTIVE:
            return state
        return format_html('{}<br><span class="exact quiet">not before {}</span>', state, exact_time(row.next_try))

    @admin.display(description="Pages", ordering="pages_total")
    def pages(self, row: FetchRequest) -> str:
        """Return how many of its pages are done."""
        return f"{row.pages_done} of {'?' if row.pages_total is None else row.pages_total}"

    @admin.display(description="Worker", ordering="worker")
    def held_by(self, row: FetchRequest) -> str:
        """Return the producer that fetches it, without its process."""
        return row.worker.partition("@")[0] or "-"

    def has_fetch_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may have spans fetched again."""
        return request.user.has_perm("datastore.change_fetchrequest")

    @admin.action(description="Fetch again (failed requests)", permissions=["fetch"])
    def fetch_again(self, request: HttpRequest, queryset: QuerySet[FetchRequest]) -> None:
        """Request what the selected failed requests were to bring, as far as it is still missing."""
        failed = list(queryset.filter(state=FetchRequest.State.FAILED).order_by("pk"))
        asked = 0
        for one in failed:
            try:
                asked += self._ask(one) is not None
            except CannotBackfill as exc:
                messages.warning(request, f"{self.title_of(one)}: {exc}")
        messages.success(request, f"Asked for again: {counted(asked, 'span')}.")
        if left := len(queryset) - len(failed):
            messages.warning(request, f"{counted(left, 'request')} had not failed.")
        if idle := len(failed) - asked:
            messages.warning(request, f"Nothing is missing any more of {counted(idle, 'request')}.")

    def _ask(self, one: FetchRequest) -> Any:
        if one.resolution == FetchRequest.TRADES:
            return request_trade_history(one.market, one.start, one.stop)
        missing = [MissingSpan(one.resolution, one.start, one.stop)]
        return request_spans(one.market, timeframe_words(one.resolution), missing, one.purpose)


@admin.register(DatastoreRequest)
class DatastoreRequestAdmin(ActorAdmin):
    """Questions that had to fetch, or failed."""

    list_display = ["name", "badge", "market", "timeframe", exact("start"), exact("stop"), exact("created_at")]
    list_display += ["error_excerpt"]
    list_filter = ["state", "timeframe", ("retired_at", admin.EmptyFieldListFilter)]
    search_fields = ["name", "market", "last_error"]
    ordering = ["-id"]
    fieldsets = [
        ("Question", {"fields": ["market", "timeframe", "start", "stop", "created_at", "fetches", "returning_since"]}),
        *ActorAdmin.fieldsets,
    ]
    page_url = "/requests"

    def title_of(self, row: DatastoreRequest) -> str:
        """Return what was asked for."""
        return f"{row.name}: {row.market} {row.timeframe}" if row.market else row.name

    def view_on_site(self, actor: Any) -> str:
        """Return the page of requests."""
        return "/requests"
