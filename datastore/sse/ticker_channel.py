"""The tickers of all followed markets with everybody who follows them: one read a second, however many do."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from time import monotonic
from typing import NamedTuple

import msgspec
import structlog

from datastore.api.views.tickers import ticker_json
from datastore.models import Market
from datastore.quality.freshness import feed_state
from datastore.series.tickers import read_tickers, ticker_heads
from datastore.sse.follower import TickerFollower
from datastore.sse.page_parts import PageParts
from datastore.sse.reader_pool import DatabaseAway, ReaderThread
from streaming.records import Micros

MINUTE_US = 60_000_000
READ_INTERVAL_S = 1.0
REST_PER_READ = 4  # times as long as a read took: many markets are read less often, and never without a pause
log = structlog.get_logger(__name__)


class Mark(NamedTuple):
    """What a market's ticker depends on: if this is the same, so is the ticker, but for its age."""

    version: int
    watermark: Micros | None
    feed: str
    minute: int  # the 24 hours move on with every minute


class TickerChannel:
    """Belongs to the event loop."""

    def __init__(self, reader: ReaderThread) -> None:
        """Do nothing until run()."""
        self.followers: set[TickerFollower] = set()
        self.parts: PageParts | None = None  # of the page that shows them, while one does
        self._reader = reader
        self._marks: dict[str, Mark] = {}
        self._shown: dict[str, bytes] = {}  # every market as it was last published

    def join(self, follower: TickerFollower) -> None:
        """Add a follower and show it every market."""
        self.followers.add(follower)
        follower.put(self._shown)

    def leave(self, follower: TickerFollower) -> None:
        """Forget a follower."""
        self.followers.discard(follower)

    async def run(self) -> None:
        """Publish what changed, until cancelled."""
        while True:
            began = monotonic()
            try:
                marks, changed = await self._reader.run(partial(read_changed, self._marks))
            except DatabaseAway as exc:
                log.warning("database away", reason=str(exc))
            else:
                self._publish(marks, changed)
            await asyncio.sleep(max(READ_INTERVAL_S, REST_PER_READ * (monotonic() - began)))

    def _publish(self, marks: dict[str, Mark], changed: dict[str, bytes]) -> None:
        gone = [symbol for symbol in self._shown if symbol not in marks]
        for symbol in gone:
            del self._shown[symbol]
        self._shown |= changed
        self._marks = marks
        news = changed | {symbol: msgspec.json.encode({"market": symbol, "followed": False}) for symbol in gone}
        if news:
            if self.parts:
                self.parts.wake()
            for follower in self.followers:
                follower.put(news)


def read_changed(known: Mapping[str, Mark]) -> tuple[dict[str, Mark], dict[str, bytes]]:
    """Return the marks of all followed markets, and the tickers, as JSON, of those that are not as known."""
    versions = dict(Market.objects.filter(followed=True).values_list("symbol", "version"))
    marks: dict[str, Mark] = {}
    changed: list[int] = []
    for head in ticker_heads():
        freshness = None if head.live_stop is None else (head.now - head.live_stop) // 1000
        feed = feed_state(head.feed_open, freshness)
        mark = Mark(versions.get(head.symbol, 0), head.watermark, feed, head.now // MINUTE_US)
        marks[head.symbol] = mark
        if known.get(head.symbol) != mark:
            changed.append(head.market_id)
    tickers = read_tickers(changed) if changed else []
    return marks, {ticker.head.symbol: msgspec.json.encode(ticker_json(ticker)) for ticker in tickers}
