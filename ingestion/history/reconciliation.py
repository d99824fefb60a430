"""Ask the provider for closed minutes of our own feed, so that the Datastore can hold them against ours.

One call of at most 2,000 minutes per market and run, and only while history leaves most of the budget: a comparison
that waits an hour longer loses nothing.
"""

from __future__ import annotations

from dataclasses import replace
from threading import Event

import structlog
from django.conf import settings
from redis.exceptions import RedisError

from datastore.models import Market
from datastore.quality.reconciliation import Figures, compare, next_span
from datastore.reference.markets import feed_markets
from datastore.reference.provider import other_provider
from datastore.timeframes.intervals import SECOND_US, micros_of, moment
from datastore.timeframes.timeframe import MINUTE_S
from ingestion.history import pages
from ingestion.history.pages import Question
from ingestion.history.pool import held_up
from ingestion.history.provider_quota import Budget
from ingestion.providers.cryptocompare.client import RestClient
from ingestion.providers.cryptocompare.rest import Names, Outcome, Page, RateLimited, Refused, Row

log = structlog.get_logger(__name__)

SPARE = 0.25  # of every window; what is less is for history
LONGEST_WAIT = 2.0  # seconds for a call of the budget


def reconcile(stop: Event) -> None:
    """Compare one stretch of every kept market; ends early where the provider or its budget has nothing for us now."""
    budget = Budget()
    client = RestClient(settings.CRYPTOCOMPARE_REST_URL, settings.CRYPTOCOMPARE_API_KEY)
    try:
        for market in feed_markets().order_by("id"):
            with structlog.contextvars.bound_contextvars(market=market.symbol):
                if reason := _reconcile(market, client, budget, stop):
                    log.warning("reconciliation waits", reason=reason)
                    return
    finally:
        client.close()


def _reconcile(market: Market, client: RestClient, budget: Budget, stop: Event) -> str | None:
    """Compare one stretch; return why no other market should be tried now either."""
    span = next_span(market, pages.PAGE)
    if span is None:
        return None
    if reason := _not_now(budget, stop):
        return reason
    asked = Question(MINUTE_S, micros_of(span[0]), micros_of(span[1]))
    names = Names(market.provider_exchange, market.provider_base, market.provider_quote)
    return _take(market, asked, client.candles(names, MINUTE_S, asked.last, asked.before), budget)


def _not_now(budget: Budget, stop: Event) -> str | None:
    """Take a call of the budget, or return why there is none for us."""
    if held := held_up():
        return held
    try:
        if any(left.calls <= left.limit * SPARE for name, left in budget.left().items() if name != "second"):
            return "the rate budget is for history now"
        if (wait := budget.take()) and wait <= LONGEST_WAIT and not stop.wait(wait):
            wait = budget.take()
    except RedisError as exc:
        return f"the cache does not answer: {exc}"
    return "the rate budget is used up" if wait else None


def _take(market: Market, asked: Question, outcome: Outcome, budget: Budget) -> str | None:
    start, stop = moment(asked.start), moment(asked.stop)
    if isinstance(outcome, Page):
        return _compare(market, asked, outcome)
    if isinstance(outcome, Refused) and outcome.final:
        compare(market, start, stop, {}, note=outcome.reason)  # never asked again
        return None
    if isinstance(outcome, Refused):
        log.warning("reconciliation refused", reason=outcome.reason)  # this market's trouble alone
        return None
    if isinstance(outcome, RateLimited):
        budget.pause(outcome.retry_after)
    return outcome.reason


def _compare(market: Market, asked: Question, page: Page) -> str | None:
    if known := other_provider(page.provider):
        return f"this database holds data of {known!r}, but {page.provider!r} answers"
    final = replace(asked, stop=min(asked.stop, pages.final_until(page.at, MINUTE_S)))
    if final.stop > final.start and pages.is_of(page, final):
        rows = pages.proven_rows(page, final)
        theirs = {time * SECOND_US: _figures(row) for time, row in rows.items()}
        compare(market, moment(final.start), moment(final.stop), theirs)
    else:
        log.warning("reconciliation found nothing to compare", rows=len(page.rows))
    return None


def _figures(row: Row) -> Figures:
    return Figures(row.open, row.high, row.low, row.close, row.volume, row.quote_volume)
