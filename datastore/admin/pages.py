"""The datastore's rows in the admin: to be read, not edited by hand.

Django's admin cannot register models with composite keys (5.2 raises ImproperlyConfigured), so the newest trades,
candles, spans and feed positions are on their market's page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import DateTimeField, F, Func, Model, QuerySet, TextField
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from actor_runtime.admin import ActorAdmin, span
from datastore.admin.read_only import ReadOnlyAdmin, cell, exact
from datastore.backfill.fetch_queue import enqueue
from datastore.backfill.gap_repair import reopen
from datastore.dead_letters import NotReplayable, replay
from datastore.models import (
    Candle,
    CandleDifference,
    Coverage,
    CoverageChange,
    DatabaseClock,
    DatastoreRequest,
    DeadLetter,
    Feed,
    FeedPosition,
    FetchRequest,
    GapRepair,
    IdRange,
    Market,
    Pair,
    ProviderCandle,
    ProviderClock,
    Reconciliation,
    Tick,
)
from datastore.reference.staleness import stale_after
from datastore.wording import counted
from streaming.errors import StreamUnavailable

NEWEST_ROWS = 100
MAX_RAW_BYTES = 10_000


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
            "columns": self.columns,
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


_MARKET_TIMES = [exact(name) for name in ("refused_since", "watermark", "live_stop", "ticks_from")]


@admin.register(Market)
class MarketAdmin(ReadOnlyAdmin):
    """Markets, each with its newest rows."""

    list_display = ["symbol", "followed", "proven", "proof", "refusal", "version", *_MARKET_TIMES]
    readonly_fields = ["followed", "proven", "proof", "refusal", "series", "version", *_MARKET_TIMES]
    list_filter = ["followed", ("refusal", admin.EmptyFieldListFilter), "exchange"]
    search_fields = ["symbol"]

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

    class Media:
        css = {"all": ["actor_runtime/admin.css"]}

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the market and, below it, its newest rows."""
        market = self.get_object(request, object_id)
        tables = [table.read(market) for table in TABLES] if market else []
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "tables": tables})


@admin.register(Pair)
class PairAdmin(ReadOnlyAdmin):
    """The provider's list: the markets that may be asked for."""

    list_display = ["symbol", "provider_exchange", "provider_base", "provider_quote", "active", exact("seen_at")]
    list_filter = ["active", "exchange"]
    search_fields = ["symbol"]


@admin.register(GapRepair)
class GapRepairAdmin(ReadOnlyAdmin):
    """Gaps and what is done about them."""

    list_display = [
        "market",
        "resolution",
        exact("start"),
        exact("stop"),
        "code",
        "reason",
        "attempts",
        "next_try",
        "final",
    ]
    list_filter = ["final", "code", "resolution", "market"]
    list_select_related = ["market"]
    actions = ["ask_again"]

    def has_ask_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may have final gaps asked for again."""
        return request.user.has_perm("datastore.change_gaprepair")

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
class CoverageChangeAdmin(ReadOnlyAdmin):
    """Intervals whose certificate changed, by the version that shows it."""

    list_display = ["market", "version", "what", "resolution", exact("start"), exact("stop")]
    list_filter = ["what", "resolution", "market"]
    list_select_related = ["market"]


@admin.register(FetchRequest)
class FetchRequestAdmin(ReadOnlyAdmin):
    """What the provider is asked for, from the queue to the database."""

    list_display = [
        "id",
        "market",
        "resolution",
        exact("start"),
        exact("stop"),
        "purpose",
        "state",
        "pages_done",
        "pages_total",
        "worker",
        "error",
        exact("next_try"),
    ]
    list_filter = ["state", "purpose", "resolution", "market"]
    list_select_related = ["market"]


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    """Records that could not be stored."""

    list_display = [exact("created_at"), "topic", "market", "code", "reason", "position", exact("replayed_at")]
    list_filter = ["topic", "code"]
    search_fields = ["market", "reason"]
    fields = ["created_at", "topic", "market", "code", "reason", "position", "replayed_at", "replayed_by", "as_text"]
    actions = ["replay_dead_letters"]

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may publish dead letters again."""
        return request.user.has_perm("datastore.replay_deadletter")

    @admin.action(description="Replay", permissions=["replay"])
    def replay_dead_letters(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> None:
        """Publish the selected dead letters again, the oldest first, and report each result."""
        for dead_letter in queryset.order_by("pk"):
            try:
                replay(dead_letter, by=f"{request.user.get_username()} (admin)")
            except (NotReplayable, StreamUnavailable) as exc:
                messages.warning(request, f"{dead_letter.pk}: {exc}")
            else:
                messages.success(request, f"{dead_letter.pk} is published to {dead_letter.topic} again.")

    @admin.display(description="Raw bytes")
    def as_text(self, dead_letter: DeadLetter) -> str:
        """Return the record as it came; bytes that are not text are escaped."""
        return bytes(dead_letter.raw)[:MAX_RAW_BYTES].decode("utf-8", "backslashreplace")

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeadLetter]:
        """Load the bytes only when a dead letter is opened."""
        return super().get_queryset(request).defer("raw")


@admin.register(Reconciliation)
class ReconciliationAdmin(ReadOnlyAdmin):
    """Spans compared with the provider's candles; `manage.py verify` lists the differences."""

    list_display = ["market", exact("start"), exact("stop"), "compared", "different", "note", exact("created_at")]
    list_filter = ["market"]
    list_select_related = ["market"]


@admin.register(CandleDifference)
class CandleDifferenceAdmin(ReadOnlyAdmin):
    """Candles that differ from the provider's, both sides as text."""

    list_display = ["market", exact("open_time"), "ours", "theirs"]
    list_filter = ["reconciliation__market"]
    list_select_related = ["reconciliation__market"]

    @admin.display(ordering="reconciliation__market")
    def market(self, row: CandleDifference) -> str:
        """Return the candle's market."""
        return str(row.reconciliation.market)


@admin.register(Feed)
class FeedAdmin(ReadOnlyAdmin):
    """Connections and how far they are acknowledged."""

    list_display = ["feed", *map(exact, ("connected", "acknowledged_until", "behind_since", "drained_at"))]
    list_filter = ["topic"]


@admin.register(DatabaseClock)
class DatabaseClockAdmin(ReadOnlyAdmin):
    """The boot of the database's machine, from which steady time is counted."""

    list_display = ["boot", exact("booted_at"), "ahead", exact("newest"), exact("server_start")]


@admin.register(ProviderClock)
class ProviderClockAdmin(ReadOnlyAdmin):
    """Which provider's data this is, and the offset of its clock from steady time."""

    list_display = ["provider", "simulated", "clock_offset", exact("measured_at")]


@admin.register(DatastoreRequest)
class DatastoreRequestAdmin(ActorAdmin):
    """Questions that had to fetch, or failed."""
