"""One market to which anything may happen, through the platform's own writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from typing import Any

from django.db import transaction

from datastore.api.params.times import to_ms
from datastore.api.responses.series_body import candles_parts
from datastore.backfill.gap_repair import scan
from datastore.ingest.live_write import StoreResult, cancel, store_live
from datastore.ingest.market_cache import write_changed
from datastore.models import Market
from datastore.reference.markets import ensure_markets
from datastore.series.reader import read_series
from tests.support.datastore.answers import answered, candle, failed, store
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.records import FEED, MINUTE, NOON, SECOND, closed, moment, opened, trade, watermark

DAY = 24 * 60 * MINUTE
EARLIEST, LATEST = moment(NOON - 40 * DAY), moment(NOON + 2 * DAY)

numbered = count(1)


class MarketScenario:
    """One market to which things happen; the provider's time goes on with each."""

    def __init__(self, clock: ProviderTime) -> None:
        (self.market,) = ensure_markets([f"coinbase:P{next(numbered)}-USD"])
        self.clock, self.now = clock, NOON + 10 * MINUTE
        self.feed, self.start, self.n, self.feeds = "", 0, 0, 0
        self.wakes = False  # whether the cache is notified, as the consumer does
        self.trades: list[tuple[int, str]] = []
        self.unproven_page: Any = None
        clock.set(self.now)
        self.connect()

    def live(self, make: Callable[..., Any], *values: Any, **more: Any) -> None:
        self.n += 1
        with transaction.atomic():
            stored = store_live([make(self.n, *values, market=self.market.symbol, feed=self.feed, **more)])
        self.wake(stored)

    def wake(self, stored: StoreResult) -> None:
        if self.wakes:
            write_changed(stored.changes)

    def connect(self) -> None:
        self.feeds += 1
        self.feed, self.start, self.n = f"{FEED}{self.market.pk}-{self.feeds}", self.now, 0
        self.live(opened, self.start)

    def trade(self, ago: int, price: int) -> None:
        id, ts = f"t{next(numbered):06}", self.now - ago * SECOND
        self.trades.append((ts, id))
        self.live(trade, ts, str(price), id=id, received_at=self.now)

    def prove(self, behind: int) -> None:
        if (until := self.now - behind * SECOND) > self.start:
            self.live(watermark, until, self.start)

    def lose(self) -> None:
        self.live(closed, None, start=self.start)
        self.connect()

    def pass_(self, seconds: int) -> None:
        self.now += seconds * SECOND
        with transaction.atomic():  # whichever process reads meanwhile must not find it unknown
            self.clock.set(self.now)

    def answer(self, resolution: int, ago: int, size: int, traded: list[int], price: int) -> None:
        """Let the provider's candles of a page be stored, and with them what the page proves."""
        *rows, span = self._page(resolution, ago, size, traded, price)
        self.wake(store(*rows, span))

    def answer_in_parts(self, resolution: int, ago: int, size: int, traded: list[int], price: int) -> None:
        """Let a page's candles be stored in a batch that ends before what the page proves, which comes next."""
        *rows, span = self._page(resolution, ago, size, traded, price)
        self.prove_page()
        if rows:
            self.wake(store(*rows))
        self.unproven_page = span

    def prove_page(self) -> None:
        """Let what the last page proves be stored, if it is not yet."""
        if self.unproven_page is not None:
            self.wake(store(self.unproven_page))
        self.unproven_page = None

    def _page(self, resolution: int, ago: int, size: int, traded: list[int], price: int) -> list[Any]:
        length = resolution * SECOND
        stop = (self.now - resolution * SECOND) // length * length - ago * length
        start = stop - size * length
        of: Any = {"resolution": resolution}
        rows = [candle(start + at * length, str(price), market=self.market.symbol, **of) for at in traded if at < size]
        return [*rows, answered(start, stop, market=self.market.symbol, **of)]

    def refuse(self, ago: int) -> None:
        stop = self.now // MINUTE * MINUTE - ago * MINUTE
        refusal = failed(1, stop - 5 * MINUTE, stop)
        with_market = {name: getattr(refusal, name) for name in refusal.__struct_fields__}
        store(type(refusal)(**{**with_market, "market": self.market.symbol}))

    def cancel(self, which: int) -> None:
        if self.trades:
            ts, id = self.trades.pop(which % len(self.trades))
            cancel(self.market, moment(ts), id)

    def scan(self) -> None:
        Market.objects.filter(followed=True).exclude(pk=self.market.pk).update(followed=False)
        scan()


def shown(market: Market, timeframe: str) -> dict[str, Any]:
    """Return GET candles of all time that the scenario touches."""
    series = read_series(market, timeframe, EARLIEST, LATEST)
    body = candles_parts(series).joined(
        series.series_id, series.version, to_ms(series.server_time), to_ms(series.watermark)
    )
    answer: dict[str, Any] = json.loads(body)
    return answer
