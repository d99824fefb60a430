"""Health checks: is this process alive, do its servers answer, is the data fresh?"""

from __future__ import annotations

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, JsonResponse

from actor_runtime.reset_policy import reason_of
from config.supervision.servers import database_refusal, stream_refusal, valkey_refusal
from datastore.quality.freshness import LIVE, ProvenMarket, freshness_problems, proven_markets
from datastore.reference.provider import current_provider

UNKNOWN = "unknown"
UNKNOWN_PROVIDER: dict[str, str | bool | None] = {"provider": None, "simulated": None}


def live(request: HttpRequest) -> JsonResponse:
    """Answer 200 whenever this process can answer at all; ask no other server."""
    return JsonResponse({"status": "live", "version": settings.VERSION})


def ready(request: HttpRequest) -> JsonResponse:
    """Answer 200 if database, cache and stream answer (Kafka within 5 s, the others within 2 s), else 503 and why.

    A dead feed does not make this process less able to answer; `data` says that its answers are not fresh.
    """
    failing = failing_parts()
    provider = UNKNOWN_PROVIDER if "database" in failing else provider_identity()
    status = "not ready" if failing else "ready"
    data = UNKNOWN if "database" in failing else data_state(market_states())
    answer = {"status": status, "version": settings.VERSION, "data": data, "failing": failing, **provider}
    return JsonResponse(answer, status=503 if failing else 200)


def fresh(request: HttpRequest) -> JsonResponse:
    """Answer 200 if every followed market is fresh and complete, else 503 and the reasons by market."""
    try:
        found = freshness_problems()
    except DatabaseError as exc:
        return JsonResponse({"status": "not fresh", "failing": {"database": reason_of(exc)}, "markets": {}}, status=503)
    failing = {symbol: reasons for symbol, reasons in found.items() if reasons}
    parts = {} if found else {"markets": "no market is followed, so nothing was checked"}
    bad = bool(failing or parts)
    answer = {"status": "not fresh" if bad else "fresh", "failing": parts, "markets": failing}
    return JsonResponse(answer, status=503 if bad else 200)


def failing_parts() -> dict[str, str]:
    """Return the reason of each part that does not answer."""
    refusals = {"database": database_refusal(settings.DATABASE_URL), "cache": valkey_refusal(settings.REDIS_URL)}
    if settings.STREAM_URL == settings.REDIS_URL:
        refusals["stream"] = refusals["cache"]
    else:
        refusals["stream"] = stream_refusal(settings.STREAM_URL)
    return {part: reason for part, reason in refusals.items() if reason is not None}


def market_states() -> list[ProvenMarket] | None:
    """Return how far each followed market is proven; None while the database is down."""
    try:
        return proven_markets()
    except DatabaseError:
        return None


def data_state(markets: list[ProvenMarket] | None) -> str:
    """Return fresh if every followed market has a live feed, stale if one has not, unknown if nothing was looked at."""
    if not markets:
        return UNKNOWN
    return "fresh" if all(market.state == LIVE for market in markets) else "stale"


def provider_identity() -> dict[str, str | bool | None]:
    """Return the provider of this database's prices and whether they are simulated; None while the database is down."""
    try:
        name, simulated = current_provider()
    except DatabaseError:
        return UNKNOWN_PROVIDER
    return {"provider": name, "simulated": simulated}
