from __future__ import annotations

from django.contrib import admin

from actor_runtime.admin import ActorAdmin, span
from actor_runtime.models import Actor
from datastore.quality.freshness import LIVE, proven_markets
from ingestion.live.live_producer_actor import LiveProducer
from ingestion.models import Producer


@admin.register(Producer)
class ProducerAdmin(ActorAdmin):
    """Producers; the colour of the live one is that of its feeds."""

    def waits_for(self, actor: Actor) -> str | None:
        """Return what the actor waits for, or which markets its feed does not prove."""
        if actor.waiting_for or actor.role != LiveProducer.role or actor.retired_at:
            return actor.waiting_for
        return unproven_markets()


def unproven_markets() -> str | None:
    """Return which followed markets have no live feed and since when, None if all have."""
    found = [market for market in proven_markets() if market.state != LIVE]
    ages = (f"{market.symbol} ({'never' if market.age is None else span(market.age)})" for market in found)
    return f"the feed of {', '.join(ages)}" if found else None
