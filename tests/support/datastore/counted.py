"""Trades of a venue that counts them, in few words; and what their ids prove, slow and obvious.

The model shares no code with the product. Times are microseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

import pytest

from datastore.models import Coverage, IdRange, Market
from datastore.reference.markets import ensure_markets
from streaming.records import LastTrade, Trade
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.records import BTC, FEED, MINUTE, NOON, SECOND, micros

SLACK = SECOND // 10
Span = tuple[int, int]


@pytest.fixture
def counting(provider_time: ProviderTime, settings: pytest.FixtureRequest) -> Market:
    """A followed market whose provider counts its trades; the provider's time is an hour after noon."""
    settings.PROVIDERS = ["coinbase"]  # type: ignore[attr-defined]
    provider_time.set(NOON + 60 * MINUTE)
    (market,) = ensure_markets([BTC])
    return market


def dealt(
    first: int,
    ts: int | None = None,
    price: str = "100",
    *,
    last: int | None = None,
    n: int | None = None,
    feed: str = FEED,
    market: str = BTC,
    amount: str = "1",
) -> Trade:
    """Return the trade with this id, a second after noon for each id unless given; last: of an aggregate."""
    ts = NOON + first * SECOND if ts is None else ts
    return Trade(
        market=market, feed=feed, n=n or first, ts=ts, seq=first, id=str(first), price=Decimal(price),
        amount=Decimal(amount), side=1, received_at=ts + 1000, first=first, last=last or first,
    )  # fmt: skip


def said(last_id: int, at: int, n: int = 1, *, feed: str = FEED, market: str = BTC) -> LastTrade:
    """Return what the venue says of its newest trade."""
    return LastTrade(market=market, feed=feed, n=n, last_id=last_id, at=at)


def stored_ranges(market: Market) -> list[tuple[int, int]]:
    """Return the ranges of stored ids."""
    found = IdRange.objects.filter(market=market, doubted=False).order_by("first")
    return list(found.values_list("first", "last"))


def proven_by_ids(market: Market) -> list[Span]:
    """Return the spans that ids prove, in microseconds after noon."""
    found = Coverage.objects.filter(market=market, source="live", proof="ids").order_by("start")
    return [(micros(one.start) - NOON, micros(one.stop) - NOON) for one in found]


def model_spans(
    trades: Iterable[Trade], statements: Iterable[LastTrade] = (), doubted: Mapping[int, Span] | None = None
) -> list[Span]:
    """Return what is proven, in microseconds after noon, each rule by itself and id by id.

    trades: the stored ones. doubted: ids that two trades claim, with the earliest and the latest time of these.
    """
    times: dict[int, Span] = dict(doubted or {})
    for one in trades:
        assert one.first is not None and one.last is not None
        times.update((each, (one.ts, one.ts)) for each in range(one.first, one.last + 1) if each not in times)
    sound = sorted(times.keys() - (doubted or {}).keys())
    said_at: dict[int, int] = {}
    for statement in statements:
        said_at[statement.last_id] = max(statement.at, said_at.get(statement.last_id, 0))

    spans: list[Span] = []
    for first in sound:
        if first - 1 in sound:
            continue  # not the first of its run
        last = first
        while last + 1 in sound:
            last += 1
        below = times.get(max((each for each in times if each < first), default=-1))
        above = times.get(min((each for each in times if each > last), default=-1))
        if below and first - 1 in times:
            start = below[1]
        else:
            start = max(times[first][0], below[1]) if below else times[first][0]
        stop = times[last][1]
        if above and last + 1 in times:
            stop = above[0]
        else:
            told = said_at.get(last, 0) - SLACK
            if last and (above is None or told <= above[0]):
                stop = max(stop, told)
            if above:
                stop = min(stop, above[0])
        start = max([start, *(high for each, (_, high) in (doubted or {}).items() if each < first)])
        stop = min([stop, *(low for each, (low, _) in (doubted or {}).items() if each > last)])
        if start + SLACK < stop - SLACK:
            spans.append((start + SLACK - NOON, stop - SLACK - NOON))
    return spans
