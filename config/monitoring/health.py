"""Health checks: is this process alive, do its servers answer, is the data fresh?"""

from __future__ import annotations

from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, JsonResponse

from actor_runtime.configured_broker import BRIEF_ANSWER_S
from actor_runtime.reset_policy import reason_of
from config import disk
from config.monitoring.cached_answer import CachedAnswer
from config.supervision.embedded_servers import postgres_url
from config.supervision.servers import stream_refusal, valkey_refusal, write_refusal
from datastore.api.auth.permissions import has_key
from datastore.quality.freshness import LIVE, ProvenMarket, freshness_problems, proven_markets
from datastore.reference.provider import current_provider

log = structlog.get_logger(__name__)
UNKNOWN = "unknown"
NO_ANSWER = "does not answer"
DETAILS = "With an API key or a staff session this names the markets and the reasons, as `manage.py status` does."
UNKNOWN_PROVIDER: dict[str, str | bool | None] = {"provider": None, "simulated": None}


def live(request: HttpRequest) -> JsonResponse:
    """Answer 200 whenever this process can answer at all; ask no other server."""
    return JsonResponse({"status": "live", "version": settings.VERSION})


def ready(request: HttpRequest) -> JsonResponse:
    """Answer 200 if database, cache and folder take a write and the stream answers within 2 s (Kafka: 5 s), else 503.

    The reasons are for those with a key. A dead feed does not make this process less able to answer; `data` says that
    its answers are not fresh.
    """
    answer = _ready.get()
    reasons = answer["failing"]
    if reasons and not _may_see_details(request):
        answer = answer | {"failing": dict.fromkeys(reasons, NO_ANSWER)}
    return JsonResponse(answer, status=503 if reasons else 200)


def fresh(request: HttpRequest) -> JsonResponse:
    """Answer 200 if every followed market is fresh and complete, else 503; the reasons are for those with a key."""
    failing, markets = _fresh.get()
    is_fresh = not (failing or markets)
    answer: dict[str, Any] = {"status": "fresh" if is_fresh else "not fresh", "not_fresh": len(markets)}
    if _may_see_details(request):
        answer |= {"failing": failing, "markets": markets}
    elif not is_fresh:
        answer["details"] = DETAILS
    return JsonResponse(answer, status=200 if is_fresh else 503)


def _compute_ready() -> dict[str, Any]:
    failing = failing_parts()
    if failing:
        log.warning("not ready", **failing)
    provider = UNKNOWN_PROVIDER if "database" in failing else provider_identity()
    status = "not ready" if failing else "ready"
    data = UNKNOWN if "database" in failing else data_state(market_states())
    return {"status": status, "version": settings.VERSION, "data": data, "failing": failing, **provider}


def _compute_fresh() -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return why nothing can be said, by part, and the reasons by market that is not fresh."""
    try:
        found = freshness_problems()
    except DatabaseError as exc:
        return {"database": reason_of(exc)}, {}
    if not found:
        return {"markets": "no market is followed, so nothing was checked"}, {}
    return {}, {symbol: reasons for symbol, reasons in found.items() if reasons}


_ready, _fresh = CachedAnswer(_compute_ready), CachedAnswer(_compute_fresh)
_failing = CachedAnswer(lambda: failing_parts(BRIEF_ANSWER_S), times=3)


def _may_see_details(request: HttpRequest) -> bool:
    """Return whether the request has a valid key or a staff session; no key can be checked without the database."""
    try:
        return has_key(request)
    except DatabaseError:
        return False


def failing_lately() -> dict[str, str]:
    """Return failing_parts() of some seconds ago at most, for pages: cache and stream have a second to answer."""
    return _failing.get()


def failing_parts(within_s: float = 2) -> dict[str, str]:
    """Return the reason of each part that does not answer or takes no writes; within_s: what Valkey may take."""
    refusals = {"database": write_refusal(settings.DATABASE_URL), "cache": valkey_refusal(settings.REDIS_URL, within_s)}
    if settings.STREAM_URL == settings.REDIS_URL:
        refusals["stream"] = refusals["cache"]
    else:
        refusals["stream"] = stream_refusal(settings.STREAM_URL, within_s)
    refusals["disk"] = disk_refusal()
    return {part: reason for part, reason in refusals.items() if reason is not None}


def disk_refusal() -> str | None:
    """Return why the data folder cannot be written, None if it can, or if it holds no database."""
    home = settings.CANDLEKEEP_HOME
    # With a database elsewhere only logs are kept here, and answers do not need those.
    if postgres_url(home) != settings.DATABASE_URL:
        return None
    refusal = disk.write_refusal(home / "run")
    return refusal and f"{home} cannot be written: {refusal}"


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
