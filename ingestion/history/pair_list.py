"""The providers' lists of pairs: asked for, and stored."""

from __future__ import annotations

from contextlib import closing, suppress
from threading import Event

import structlog

from datastore.reference import pairs
from datastore.reference.provider import other_provider
from ingestion.history.pool import blocking_error
from ingestion.history.provider_quota import quota_of
from ingestion.history.rate_pause import pause_calls
from ingestion.history.rest_client import RestClient, call_in_thread
from ingestion.provider_access import REST, access_of
from ingestion.providers.answers import PairList, RateLimited, Trouble, Unavailable, why
from ingestion.providers.port import Provider
from ingestion.providers.table import configured

log = structlog.get_logger(__name__)

MAX_REASONS_LOGGED = 10
MAX_CALL_WAIT_S = 5.0  # for a call of the quota
STOP_CHECK_INTERVAL_S = 0.5  # between two checks whether the answer is still wanted


def refresh_pairs(stop: Event) -> bool:
    """Ask the providers for their pairs and store them; False if that failed for one: its stored list stays.

    Gives up as soon as stop is set.
    """
    found = []
    for provider in configured():
        with structlog.contextvars.bound_contextvars(provider=provider.name):
            found.append(_refresh(provider, stop))
    return all(found)


def _refresh(provider: Provider, stop: Event) -> bool:
    quota = quota_of(provider.traits)
    with closing(RestClient(provider, access_of(provider, REST))) as client:
        if reason := blocking_error(provider):
            return _failed(reason)
        if (wait := quota.take(client.pairs_weight)) and wait <= MAX_CALL_WAIT_S and not stop.wait(wait):
            wait = quota.take(client.pairs_weight)
        if wait:
            said = quota.pause_reason()
            return _failed(f"the rate budget is used up for {wait:.0f} s" + (f": {said}" if said else ""))
        outcome = _call_provider(client, stop)
        if isinstance(outcome, RateLimited):
            pause_calls(quota, outcome, client.calls_left)
    if isinstance(outcome, PairList) and outcome.warning:
        quota.pause(outcome.warning.slow_down, outcome.warning.reason)
    return _store(provider.name, outcome) if isinstance(outcome, PairList) else _failed(why(outcome))


def _call_provider(client: RestClient, stop: Event) -> PairList | Trouble:
    call = call_in_thread(client.pairs)
    while not stop.is_set():
        with suppress(TimeoutError):
            return call.result(timeout=STOP_CHECK_INTERVAL_S)
    return Unavailable("the job was stopped")


def _store(provider: str, answer: PairList) -> bool:
    if known := other_provider(provider, answer.provider):
        return _failed(f"this database holds data of {known!r}, but {answer.provider!r} answers")
    try:
        taken = pairs.save_pair_list(provider, answer.pairs)
    except pairs.ImplausiblePairList as exc:
        return _failed(str(exc))
    refused = len(taken.refused)
    counts = {"new": taken.new, "vanished": taken.vanished, "refused": refused, "unreadable": answer.unreadable}
    log.info("pairs listed", pairs=taken.pairs, **counts)
    if taken.refused:
        log.warning("pairs refused", count=refused, reasons=list(taken.refused.values())[:MAX_REASONS_LOGGED])
    return True


def _failed(reason: str) -> bool:
    log.error("pairs not listed", reason=reason)
    return False
