"""The provider's list of pairs, asked for and taken."""

from __future__ import annotations

from contextlib import suppress
from threading import Event

import structlog
from django.conf import settings

from datastore.reference import pairs
from datastore.reference.provider import UNNAMED, current_provider
from ingestion.history.provider_quota import Budget
from ingestion.providers.cryptocompare.client import RestClient, beside
from ingestion.providers.cryptocompare.rest import PairList, RateLimited, Trouble, Unavailable

log = structlog.get_logger(__name__)

LOOK_EVERY = 0.5  # seconds between two looks whether the answer is still wanted


def refresh_pairs(stop: Event) -> bool:
    """Ask the provider for its pairs and take them; False where that failed: the list that there is stays.

    Gives up as soon as stop is set.
    """
    budget = Budget()
    if wait := budget.take():
        return _failed(f"the rate budget is used up for {wait:.0f} s")
    client = RestClient(settings.CRYPTOCOMPARE_REST_URL, settings.CRYPTOCOMPARE_API_KEY)
    try:
        said = _answer(client, stop)
    finally:
        client.close()
    if isinstance(said, RateLimited):
        budget.pause(said.retry_after)
    if not isinstance(said, PairList):
        return _failed(said.reason)
    return _taken(said)


def _answer(client: RestClient, stop: Event) -> PairList | Trouble:
    call = beside(client.pairs)
    while not stop.is_set():
        with suppress(TimeoutError):
            return call.result(timeout=LOOK_EVERY)
    return Unavailable("the job was stopped")


def _taken(said: PairList) -> bool:
    known, _ = current_provider()
    if said.provider and known != UNNAMED and said.provider != known:
        return _failed(f"this database holds data of {known!r}, but {said.provider!r} answers")
    try:
        taken = pairs.save_pair_list(said.pairs)
    except pairs.ImplausiblePairList as exc:
        return _failed(str(exc))
    told = {"new": taken.new, "vanished": taken.vanished, "unnamed": taken.unnamed, "unreadable": said.unreadable}
    log.info("pairs listed", pairs=taken.pairs, **told)
    return True


def _failed(reason: str) -> bool:
    log.error("pairs not listed", reason=reason)
    return False
