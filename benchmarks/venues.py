"""Venues: frames to candles, a day refilled by ids, and what ids cost; each beside a peer or a limit."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings

from benchmarks import ids, venue_feed, venue_refill


def run() -> Iterator[str]:
    """Measure all three."""
    given = settings.PROVIDERS
    yield from venue_feed.run()
    yield from venue_refill.run()
    settings.PROVIDERS = given  # the others follow one venue at a time
    yield "keeping the ids of trades as ranges"
    yield from ids.run()
