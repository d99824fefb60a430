"""Which followed markets the provider refuses, written into their rows for everyone who asks why there is no data."""

from __future__ import annotations

from collections.abc import Container, Mapping

import structlog
from django.db.models.functions import Coalesce, Now

from actor_runtime.loop.session import ActorSession
from actor_runtime.redaction import without_secrets
from datastore.models import Market

log = structlog.get_logger(__name__)


def write_refusals(
    stored: Mapping[str, str | None], refusals: Mapping[str, str], subscribed: Container[str], session: ActorSession
) -> None:
    """Write why followed markets are refused, and clear it once they are subscribed to; raise Fenced if lost.

    stored: what their rows say. A market that the provider has not answered for yet keeps what it says.
    """
    for symbol, known in stored.items():
        reason = without_secrets(refusals.get(symbol, "")) or None
        if reason == known or (reason is None and symbol not in subscribed):
            continue
        session.beat()  # if another process took over, the row is its own to write
        since = Coalesce("refused_since", Now()) if reason else None
        Market.objects.filter(symbol=symbol, followed=True).update(refusal=reason, refused_since=since)
        log.info("refusal noted", market=symbol, reason=reason)
