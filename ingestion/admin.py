from __future__ import annotations

from django.conf import settings
from django.contrib import admin

from actor_runtime.admin import ActorAdmin, span
from actor_runtime.models import Actor
from datastore.quality.freshness import LIVE, proven_markets
from datastore.reference.provider_registry import live_role
from ingestion.models import Producer


@admin.register(Producer)
class ProducerAdmin(ActorAdmin):
    """Producers; the colour of the live one is that of its feeds."""

    def waits_for(self, actor: Actor) -> str | None:
        """Return what the actor waits for, or which markets its feed does not prove."""
        live = {live_role(provider): provider for provider in settings.PROVIDERS}
        if actor.waiting_for or actor.role not in live or actor.retired_at:
            return actor.waiting_for
        return unproven_markets(live[actor.role])


def unproven_markets(provider: str) -> str | None:
    """Return which followed markets of a provider have no live feed and since when, None if all have."""
    found = [market for market in proven_markets() if market.provider == provider and market.state != LIVE]
    ages = (f"{market.symbol} ({'never' if market.age is None else span(market.age)})" for market in found)
    return f"the feed of {', '.join(ages)}" if found else None
