"""Ask the provider for closed minutes of our own feed, so that the Datastore can compare them with ours.

One call of at most a page per market and run, and only while history leaves part of the quota unused: a
comparison that waits an hour longer loses nothing.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from threading import Event

import structlog
from redis.exceptions import RedisError

from datastore.models import Market
from datastore.quality.reconciliation import CandleValues, compare, next_span
from datastore.reference.markets import feed_markets
from datastore.reference.pairs import Listed
from datastore.reference.provider import other_provider
from datastore.reference.provider_registry import traits_of
from datastore.timeframes.intervals import SECOND_US, micros_of, moment
from datastore.timeframes.timeframe import MINUTE_S
from ingestion.history import pages
from ingestion.history.pages import PageRequest
from ingestion.history.pool import blocking_error
from ingestion.history.provider_quota import ProviderQuota, quota_of
from ingestion.history.rate_pause import pause_calls
from ingestion.history.rest_client import RestClient
from ingestion.provider_access import REST, access_of
from ingestion.providers.answers import CandlePage, RateLimited, Refused, why
from ingestion.providers.port import Provider
from ingestion.providers.table import PROVIDERS

log = structlog.get_logger(__name__)

RESERVED_SHARE = 0.25  # of every window, for history
MAX_CALL_WAIT_S = 2.0  # for a call of the quota


def reconcile(stop: Event) -> None:
    """Compare one stretch of every followed market; a provider's are left if it or its quota has nothing for us now."""
    for provider in PROVIDERS.values():
        markets = feed_markets().filter(provider=provider.name).order_by("id")
        with closing(RestClient(provider, access_of(provider, REST))) as client:
            for market in markets:
                with structlog.contextvars.bound_contextvars(market=market.symbol):
                    if reason := _reconcile(market, provider, client, stop):
                        log.warning("reconciliation waits", reason=reason)
                        break


def _reconcile(market: Market, provider: Provider, client: RestClient, stop: Event) -> str | None:
    """Compare one stretch; return why no other market of the provider should be tried now either."""
    span, quota = next_span(market, provider.traits.candles.rows_per_page), quota_of(provider.traits)
    if span is None:
        return None
    asked = PageRequest(MINUTE_S, micros_of(span[0]), micros_of(span[1]))
    pair = Listed(market.provider_exchange, market.provider_base, market.provider_quote)
    candles = asked.of(provider.names.sub_of(pair))
    if reason := blocking_error(provider) or _take_call(quota, client.candles_weight(candles), stop):
        return reason
    outcome = client.candles(candles)
    if isinstance(outcome, RateLimited):
        pause_calls(quota, outcome, client.calls_left)
    elif isinstance(outcome, CandlePage) and outcome.warning:
        quota.pause(outcome.warning.slow_down, outcome.warning.reason)

    if isinstance(outcome, CandlePage):
        return _compare(market, asked, outcome)
    if isinstance(outcome, Refused) and outcome.is_final(asked.stop):
        compare(market, moment(asked.start), moment(asked.stop), {}, note=why(outcome))  # never asked again
        return None
    if isinstance(outcome, Refused):
        log.warning("reconciliation refused", reason=why(outcome))  # this concerns this market alone
        return None
    return why(outcome)


def _take_call(quota: ProviderQuota, weight: int, stop: Event) -> str | None:
    """Take a call of the quota, or return why there is none for us."""
    try:
        windows = [window for name, window in quota.remaining().items() if name != "second"]
        if any(window.calls <= window.limit * RESERVED_SHARE for window in windows):
            return "the rate budget is for history now"
        if (wait := quota.take(weight)) and wait <= MAX_CALL_WAIT_S and not stop.wait(wait):
            wait = quota.take(weight)
    except RedisError as exc:
        return f"the cache does not answer: {exc}"
    return "the rate budget is used up" if wait else None


def _compare(market: Market, asked: PageRequest, page: CandlePage) -> str | None:
    if known := other_provider(market.provider, page.provider):
        return f"this database holds data of {known!r}, but {page.provider!r} answers"
    candles = traits_of(market.provider).candles
    final = replace(asked, stop=min(asked.stop, pages.final_stop(candles, page.at, MINUTE_S)))
    if final.stop > final.start and pages.answers(page, final):
        theirs = {
            time * SECOND_US: CandleValues(
                row.open, row.high, row.low, row.close, row.volume, row.quote_volume, row.trades
            )
            for time, row in pages.proven_rows(candles, page, final).items()
        }
        compare(market, moment(final.start), moment(final.stop), theirs)
    else:
        log.warning("reconciliation found nothing to compare", rows=len(page.rows))
    return None
