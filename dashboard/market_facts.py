"""What is known of one market beside its candles: its feed, its newest trades, how it compares with the provider."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Sum

from dashboard.rates import storing_ms
from datastore.api.views.markets import market_json
from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement
from datastore.models import CandleDifference, GapRepair, Market, Reconciliation, Tick
from datastore.reference.provider_clock import provider_now
from datastore.reference.staleness import stale_after

NEWEST_TRADES = 18
COMPARED_FOR = timedelta(days=1)
LATENCY_OF = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Latency:
    """How long after a trade it was received, over the trades of the last minute, in milliseconds."""

    trades: int
    median: float
    mean: float
    slowest: float


def market_facts(market: Market) -> dict[str, Any]:
    """Return the facts by the names that the page uses. Raises DatabaseError."""
    (row,) = fetch_all(statement("api", "markets"), {"symbol": market.symbol, "stale": stale_after()})
    known = market_json(row)
    now = provider_now(market.provider)
    compared = Reconciliation.objects.filter(market=market, stop__gt=now - COMPARED_FOR)
    sums = compared.aggregate(compared=Sum("compared"), different=Sum("different"))
    differences = CandleDifference.objects.filter(reconciliation__market=market, open_time__gt=now - COMPARED_FOR)
    gaps = GapRepair.objects.filter(market=market)
    late, storing = latency_of(market, now), storing_ms(market.symbol)
    return {
        "market": market,
        "price": known["last_price"],
        "feed": known["feed"],
        "freshness_s": None if known["freshness"] is None else known["freshness"] / 1000,
        "watermark": _moment(known["watermark"]),
        "live_until": _moment(known["live_until"]),
        "first": _moment(known["first"]),
        "proof": known["proof"],
        "refusal": known["refusal"],
        "refused_since": _moment(known["refused_since"]),
        "trades": Tick.objects.filter(market=market).order_by("-ts", "-seq", "-trade_id")[:NEWEST_TRADES],
        "compared": sums["compared"] or 0,
        "different": sums["different"] or 0,
        "difference": differences.order_by("-open_time").first(),
        "open_gaps": gaps.filter(final=False).count(),
        "final_gaps": gaps.filter(final=True).count(),
        "latency": late,
        "storing_ms": storing,
        "stored_ms": None if late is None or storing is None else late.mean + storing,
    }


def latency_of(market: Market, now: datetime) -> Latency | None:
    """Return how late the trades of the last minute were received; None if there was none."""
    times = Tick.objects.filter(market=market, ts__gt=now - LATENCY_OF).values_list("ts", "received_at")
    late = sorted((received - at) / timedelta(milliseconds=1) for at, received in times)
    return Latency(len(late), late[len(late) // 2], sum(late) / len(late), late[-1]) if late else None


def _moment(ms: int | None) -> datetime | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)
