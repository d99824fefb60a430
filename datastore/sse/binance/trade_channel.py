"""The new trades of one market whose venue counts them, with every connection that follows them: read once for all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

import structlog

from datastore.access.stream_tickets import Ticket
from datastore.api.binance.trades import StoredTrade
from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement
from datastore.models import Market
from datastore.reference.provider_clock import provider_now
from datastore.sse.binance.events import message, trade_event
from datastore.sse.binance.names import StreamName
from datastore.sse.follower import Follower
from datastore.sse.reader_pool import DatabaseAway, ReaderThread
from datastore.timeframes.intervals import moment

MAX_READ = 5_000  # trades
MAX_WAITING = 10_000  # trades for one reader; one that is further behind is disconnected
LATENESS = timedelta(seconds=10)  # by which a trade with a greater id may be older
log = structlog.get_logger(__name__)
Position = tuple[datetime, int]  # the time and the id of the newest trade that was read


class TradeFollower(Follower):
    """Follows the trades of one market for one connection."""

    def __init__(self, ticket: Ticket, name: StreamName, symbol: str, ready: Callable[[Follower], None]) -> None:
        """Call ready() when there is something to send, and at the end."""
        super().__init__(ticket)
        self.name, self.symbol = name, symbol
        self.is_over = False
        self._ready = ready
        self._waiting: list[StoredTrade] = []

    @property
    def merged(self) -> int:
        """Return 0: each trade is sent."""
        return 0

    def put(self, trades: Sequence[StoredTrade]) -> None:
        """Add trades; too many of them end the connection."""
        self._waiting += trades
        if len(self._waiting) > MAX_WAITING:
            log.warning("a reader of trades is too slow: its connection ends", market=self.ticket.symbol)
            self.close()
        self._ready(self)

    def beat(self) -> None:
        """Do nothing: the protocol has pings of its own."""

    def close(self) -> None:
        """End the connection."""
        self.is_over = True
        super().close()
        self._ready(self)

    def take(self) -> list[StoredTrade]:
        """Take out what waits."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def text_of(self, trade: StoredTrade, combined: bool) -> str:
        """Return a trade as a message."""
        event = trade_event(self.symbol, self.name.kind, trade, trade.time_us // 1000)
        return message(self.name.text, event, combined)


class TradeChannel:
    """Belongs to the event loop."""

    def __init__(self, market: Market, reader: ReaderThread) -> None:
        """Do nothing until run()."""
        self.market = market
        self.followers: set[TradeFollower] = set()
        self._reader = reader
        self._due = asyncio.Event()
        self._due.set()
        self._position: Position | None = None

    def wake(self) -> None:
        """Read new trades as soon as possible."""
        self._due.set()

    def join(self, follower: TradeFollower) -> None:
        """Add a follower: it gets the trades from now on."""
        self.followers.add(follower)

    def leave(self, follower: TradeFollower) -> None:
        """Forget a follower."""
        self.followers.discard(follower)

    async def run(self) -> None:
        """Publish new trades until cancelled."""
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                if self._position is None:
                    self._position = await self._reader.run(partial(newest_position, self.market))
                trades = await self._reader.run(partial(read_since, self.market, self._position))
            except DatabaseAway as exc:
                log.warning("database away", market=self.market.symbol, reason=str(exc))
                continue  # the hub's poll wakes it again
            if trades:
                newest = max(moment(trade.time_us) for trade in trades)
                self._position = max(newest, self._position[0]), trades[-1].last_id
                for follower in list(self.followers):
                    follower.put(trades)
            if len(trades) == MAX_READ:
                self._due.set()


def newest_position(market: Market) -> Position:
    """Return where the trades of a market end now."""
    found = fetch_all(statement("binance", "last_id"), {"market": market.pk})
    return found[0] if found else (provider_now(), 0)


def read_since(market: Market, position: Position) -> list[StoredTrade]:
    """Return the trades behind a position, at most MAX_READ."""
    since, id = position
    values = {"market": market.pk, "since": since - LATENESS, "id": id, "limit": MAX_READ}
    return [StoredTrade(*row) for row in fetch_all(statement("binance", "since_id"), values)]
