"""The provider's list of pairs, asked for and taken."""

from __future__ import annotations

import structlog
from django.conf import settings

from datastore import pairs
from datastore.provider import UNNAMED, current_provider
from ingestion.budget import Budget
from ingestion.providers.client import RestClient
from ingestion.providers.rest import PairList, RateLimited

log = structlog.get_logger(__name__)


def refresh_pairs() -> bool:
    """Ask the provider for its pairs and take them; False where that failed: the list that there is stays."""
    budget = Budget()
    if wait := budget.take():
        return _failed(f"the rate budget is used up for {wait:.0f} s")
    client = RestClient(settings.CRYPTOCOMPARE_REST_URL, settings.CRYPTOCOMPARE_API_KEY)
    try:
        said = client.pairs()
    finally:
        client.close()
    if isinstance(said, RateLimited):
        budget.pause(said.retry_after)
    if not isinstance(said, PairList):
        return _failed(said.reason)
    return _taken(said)


def _taken(said: PairList) -> bool:
    known, _ = current_provider()
    if said.provider and known != UNNAMED and said.provider != known:
        return _failed(f"this database holds data of {known!r}, but {said.provider!r} answers")
    try:
        taken = pairs.take(said.pairs)
    except pairs.AbsurdList as exc:
        return _failed(str(exc))
    told = {"new": taken.new, "vanished": taken.vanished, "unnamed": taken.unnamed, "unreadable": said.unreadable}
    log.info("pairs listed", pairs=taken.pairs, **told)
    return True


def _failed(reason: str) -> bool:
    log.error("pairs not listed", reason=reason)
    return False
