"""Is the data well: feeds, gaps, requests, budgets, streams, dead letters?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Count, Max, Min, Q
from django.db.models.functions import Now

from actor_runtime.admin import span
from actor_runtime.steady_time import SteadyNow
from dashboard.alerts.level import Alert, Level, Unchecked
from datastore.access.counters import ask_counters
from datastore.coverage.reasons import ReasonCode
from datastore.models import DeadLetter, FetchRequest, GapRepair, Stream
from datastore.quality.freshness import LIVE, proven_markets
from datastore.wording import counted
from ingestion.history.provider_quota import quota_of
from ingestion.providers.table import configured

FAILED_WITHIN = timedelta(hours=1)
STREAM_FAILED_WITHIN = timedelta(days=1)
WAITS_LONG = timedelta(minutes=15)
SHORT_WINDOW = "second"  # it is used up at any busy moment and free again at once
MAX_NAMED = 20  # markets


def feeds() -> Iterator[Alert]:
    """Yield followed markets whose feed is refused, stale or has proven nothing; of many the first ones.

    Raise Unchecked if none is followed.
    """
    remedy = "The live Producer reconnects by itself; /actors shows what it does."
    markets = proven_markets()
    if not markets:
        raise Unchecked("no market is followed; follow one on Markets")
    bad = [market for market in markets if market.state != LIVE or market.refusal]
    for market in bad[:MAX_NAMED]:
        url = f"/markets/{market.symbol}"
        if market.refusal:
            asked = "Retire the market in the admin, or ask the provider why."
            title = f"{market.symbol} is refused"
            yield Alert(Level.ERROR, title, market.refusal, asked, url, market.refused_since)
        elif market.age is None:
            yield Alert(Level.NOTICE, f"{market.symbol} has no data yet", "Its feed has proven nothing.", remedy, url)
        else:
            detail = f"Its feed has proven nothing for {span(market.age)}."
            yield Alert(Level.WARNING, f"{market.symbol} is stale", detail, remedy, url, market.live_stop)
    if more := bad[MAX_NAMED:]:
        title = f"{counted(len(more), 'more market')} without a live feed"
        yield Alert(Level.WARNING, title, "Like those above.", remedy, "/")


def gaps() -> Iterator[Alert]:
    """Yield gaps that are not filled, those that cannot be fetched apart."""
    found = GapRepair.objects.aggregate(
        waiting=Count("pk", filter=Q(final=False)),
        oldest=Min("start", filter=Q(final=False)),
        stuck=Count("pk", filter=Q(final=False, code=ReasonCode.FETCH)),
        refused=Count("pk", filter=Q(final=True)),
    )
    again = "Gaps are asked for again by themselves; the page says when, and staff may have one fetched at once."
    if stuck := found["stuck"]:
        title = f"{counted(stuck, 'gap')} cannot be fetched now"
        yield Alert(Level.WARNING, title, "The last try failed; each gap says why.", again, "/gaps?reason=fetch")
    if waiting := found["waiting"] - found["stuck"]:
        detail = f"The oldest begins {found['oldest']:%Y-%m-%d %H:%M} UTC."
        yield Alert(Level.WARNING, f"{counted(waiting, 'gap')} not filled yet", detail, again, "/gaps")
    if refused := found["refused"]:
        remedy = "Nothing by itself. Ask again on the page if you know better: a greater plan, a wrong refusal."
        title = f"{counted(refused, 'gap')} will stay"
        yield Alert(Level.NOTICE, title, "The provider will never have it.", remedy, "/gaps?state=final")


def fetches() -> Iterator[Alert]:
    """Yield requests that failed lately, and one that waits for long."""
    recent = FetchRequest.objects.filter(state=FetchRequest.State.FAILED, finished_at__gt=SteadyNow() - FAILED_WITHIN)
    found = recent.aggregate(number=Count("pk"), error=Max("error"), newest=Max("finished_at"))
    if number := found["number"]:
        title = f"{counted(number, 'request')} to a provider failed within the hour"
        remedy = "What is still missing is asked for again by itself, as a gap or with the next question."
        url = "/requests?state=failed"
        yield Alert(Level.WARNING, title, found["error"] or "", remedy, url, found["newest"])
    urgent = FetchRequest.objects.filter(state__in=FetchRequest.ACTIVE, purpose__lt=FetchRequest.Purpose.BACKFILL)
    long = urgent.filter(created_at__lt=Now() - WAITS_LONG).aggregate(number=Count("pk"), oldest=Min("created_at"))
    if number := long["number"]:
        title = f"{counted(number, 'request')} under way for over {span(WAITS_LONG.total_seconds())}"
        remedy = "The page says what each waits for."
        yield Alert(Level.NOTICE, title, "Not counted are backfills.", remedy, "/requests", long["oldest"])


def budget() -> Iterator[Alert]:
    """Yield providers that may not be called now. Raises RedisError."""
    for provider in configured():
        quota = quota_of(provider.traits, ask_counters)
        remedy = "What needs history waits and goes on by itself; live data does not depend on it."
        if reason := quota.pause_reason():
            yield Alert(Level.WARNING, f"{provider.name} is not called now", reason, remedy, "/requests")
        for window, left in quota.remaining().items():
            if not left.calls and not window.startswith(SHORT_WINDOW):
                detail = f"All {left.limit:,} calls per {window} are used."
                yield Alert(Level.WARNING, f"Budget of {provider.name} used up", detail, remedy, "/requests")


def streams() -> Iterator[Alert]:
    """Yield streams that failed lately, and those whose making is tried again."""
    failed = Q(state=Stream.State.FAILED, ended_at__gt=SteadyNow() - STREAM_FAILED_WITHIN)
    tried = Q(state=Stream.State.REQUESTED, attempts__gt=0)
    found = Stream.objects.aggregate(
        failed=Count("pk", filter=failed), tried=Count("pk", filter=tried), error=Max("error", filter=failed | tried)
    )
    if number := found["failed"]:
        remedy = "Ask for it again once the cause is mended; the page shows each step."
        title = f"{counted(number, 'stream')} failed within a day"
        yield Alert(Level.WARNING, title, found["error"] or "", remedy, "/streams?state=failed")
    if number := found["tried"]:
        title = f"{counted(number, 'stream')} could not be made yet"
        remedy = f"It is tried again by itself, {Stream.MAX_ATTEMPTS} times in all."
        yield Alert(Level.WARNING, title, found["error"] or "", remedy, "/streams?state=requested")


def dead_letters() -> Iterator[Alert]:
    """Yield that some records could not be stored."""
    found = DeadLetter.objects.filter(replayed_at=None).aggregate(number=Count("pk"), newest=Max("created_at"))
    if number := found["number"]:
        remedy = "Look at the reasons; what can be stored now can be replayed."
        title = counted(number, "dead letter")
        yield Alert(Level.NOTICE, title, "Could not be stored.", remedy, "/dead-letters", found["newest"])
