"""All channels of this process and what they share: one subscription, one poll, one sweep.

The truth is in the database. Valkey only wakes channels up: if it is away, or a message is lost, the poll finds what
changed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from time import monotonic
from typing import Any, TypeVar

import structlog
from cachetools import LRUCache
from django.conf import settings
from redis.asyncio import Redis
from redis.exceptions import RedisError

from datastore.access.lua_scripts import STEADY_NOW
from datastore.access.stream_tickets import Ticket, may_still_read, no_longer_allowed
from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement
from datastore.db.steady_clock import steady_clock
from datastore.ingest.market_cache import CHANGES_CHANNEL, market_key
from datastore.models import Market
from datastore.reference.staleness import stale_after
from datastore.sse.binance.trade_channel import TradeChannel, TradeFollower
from datastore.sse.channel import Channel
from datastore.sse.follower import Follower, SeriesFollower, SocketFollower, TickerFollower
from datastore.sse.follower_counts import PublishedCount, publish_follower_count
from datastore.sse.page_parts import OpenPages
from datastore.sse.reader_pool import DatabaseAway, ReaderThread
from datastore.sse.ticker_channel import TickerChannel
from datastore.streams.lifecycle import renew_all
from datastore.timeframes.timeframe import TIMEFRAMES
from metering.table import SSE_CUT, SSE_EVENTS, SSE_MERGED

POLL_INTERVAL_S = 1.0  # how soon a change is seen whose wake-up was lost
SWEEP_INTERVAL_S = 1.0
HEARTBEAT_INTERVAL_S = 15.0
STUCK_AFTER_S = 60.0  # a connection that takes nothing for this long is cut
MAX_RENEW_INTERVAL_S = 60.0  # shorter if the leases are
READER_THREADS = 3
MAX_SHARED_READS = 2_000  # whose results are kept for the next reader of the same
log = structlog.get_logger(__name__)
SeriesKey = tuple[int, str]  # market's id, timeframe
T = TypeVar("T")


class Hub:
    """Belongs to the event loop, between start() and close()."""

    def __init__(
        self,
        heartbeat: float = HEARTBEAT_INTERVAL_S,
        stuck: float = STUCK_AFTER_S,
        renew: float | None = None,
    ) -> None:
        """Do nothing until start().

        heartbeat: seconds of silence after which a comment is sent; stuck: seconds after which a connection that takes
        nothing is cut; renew: seconds between renewals of the streams' leases.
        """
        self._heartbeat, self._stuck = heartbeat, stuck
        self._renew = min(MAX_RENEW_INTERVAL_S, settings.STREAM_LEASE / 3) if renew is None else renew
        self._channels: dict[SeriesKey, Channel] = {}
        self._runs: dict[SeriesKey, asyncio.Task[None]] = {}
        self._tickers: tuple[TickerChannel, asyncio.Task[None]] | None = None  # while any client follows them
        self._trades: dict[int, tuple[TradeChannel, asyncio.Task[None]]] = {}  # by market
        self._followers: dict[Follower, Callable[[], None]] = {}  # with what cuts the connection
        self._readers = [ReaderThread(f"reader-{number}") for number in range(READER_THREADS)]
        self._poller = ReaderThread("poller")
        self._writer = ReaderThread("pages")  # its own: no candle waits until a page is written
        self._pages = OpenPages(self._writer)
        self._tasks: list[asyncio.Task[None]] = []
        self._reads: LRUCache[Hashable, asyncio.Task[Any]] = LRUCache(MAX_SHARED_READS)
        self.sent = 0  # events since the last sweep
        self._count = PublishedCount()

    def __len__(self) -> int:
        """Return how many follow, open WebSockets by themselves included."""
        return len(self._followers)

    def start(self) -> None:
        """Start to listen, poll and sweep."""
        self._tasks = [
            asyncio.create_task(self._listen()),
            asyncio.create_task(_every(POLL_INTERVAL_S, self._poll)),
            asyncio.create_task(_every(SWEEP_INTERVAL_S, self._sweep)),
            asyncio.create_task(_every(self._renew, self._renew_and_check)),
        ]

    async def close(self) -> None:
        """End all streams and the threads."""
        others = [self._tickers[1]] if self._tickers else []
        others += [run for _, run in self._trades.values()] + self._pages.runs()
        for task in [*self._tasks, *self._runs.values(), *others]:
            task.cancel()
        for follower in list(self._followers):
            follower.close()
        for reader in [*self._readers, self._poller, self._writer]:
            await asyncio.to_thread(reader.close)

    async def measure_time(self) -> None:
        """Compare our count with the database's steady time, by which tickets age, if that is due.

        While the database is away our count goes on; before the first comparison, wait for it.
        """
        while steady_clock.is_due:
            try:
                await self._poller.run(steady_clock.measure)
            except DatabaseAway:
                if steady_clock.is_measured:
                    return
                await asyncio.sleep(POLL_INTERVAL_S)

    async def may_still_read(self, ticket: Ticket) -> bool:
        """Return whether the holder of a ticket may still read; wait while the database is away."""
        while True:
            try:
                return await self._poller.run(partial(may_still_read, ticket))
            except DatabaseAway:
                await asyncio.sleep(POLL_INTERVAL_S)

    def join(self, follower: Follower, cut: Callable[[], None]) -> None:
        """Add a follower to its channel; cut() ends its connection at once."""
        self._followers[follower] = cut
        if isinstance(follower, TickerFollower):
            if self._tickers is None:
                channel = TickerChannel(self._readers[0])
                self._tickers = channel, asyncio.create_task(_run(channel))
            self._tickers[0].join(follower)
            if follower.ticket.parts:
                self._tickers[0].parts = self._pages.join(follower)
        elif isinstance(follower, TradeFollower):
            self._trades_of(follower).join(follower)
        elif isinstance(follower, SeriesFollower):
            series = self._series_of(follower.ticket)
            series.join(follower)
            if follower.ticket.parts:
                series.parts = self._pages.join(follower)

    async def read(self, read: Callable[[], T]) -> T:
        """Return what read() returns in a thread with a connection to the database. Raises DatabaseAway."""
        return await self._poller.run(read)

    async def read_once(self, name: Hashable, read: Callable[[], T]) -> T:
        """Return what read() returns, or what it returned for the same name lately. Raises DatabaseAway."""
        task = self._reads.get(name)
        if task is None or task.cancelled() or (task.done() and task.exception()):
            task = self._reads[name] = asyncio.create_task(self.read(read))
        found: T = await asyncio.shield(task)
        return found

    def _trades_of(self, follower: TradeFollower) -> TradeChannel:
        """Return the channel of a market's trades; make it if nobody follows it yet."""
        market = follower.ticket.market or 0
        if market not in self._trades:
            reader = self._readers[market % READER_THREADS]
            channel = TradeChannel(Market(pk=market, symbol=follower.ticket.symbol), reader)
            self._trades[market] = channel, asyncio.create_task(_run(channel))
        return self._trades[market][0]

    def _series_of(self, ticket: Ticket) -> Channel:
        """Return the channel of a ticket's series; make it if nobody follows it yet."""
        key = _key(ticket)
        channel = self._channels.get(key)
        if channel is None:
            reader = self._readers[hash(key) % READER_THREADS]
            channel = Channel(Market(pk=key[0], symbol=ticket.symbol), TIMEFRAMES[ticket.timeframe], reader)
            self._channels[key] = channel
            self._runs[key] = asyncio.create_task(_run(channel))
        return channel

    def leave(self, follower: Follower) -> None:
        """Forget a follower; close its channel if nothing else follows it."""
        del self._followers[follower]
        SSE_MERGED.inc(follower.merged)
        self._pages.leave(follower)
        if isinstance(follower, TickerFollower) and self._tickers:
            tickers, run = self._tickers
            tickers.leave(follower)
            if not tickers.followers:
                self._tickers = None
                run.cancel()
            return
        if isinstance(follower, TradeFollower) and follower.ticket.market in self._trades:
            trades, run = self._trades[follower.ticket.market]
            trades.leave(follower)
            if not trades.followers:
                del self._trades[follower.ticket.market]
                run.cancel()
            return
        key = _key(follower.ticket)
        channel = self._channels.get(key)
        if channel is None or not isinstance(follower, SeriesFollower):
            return
        channel.leave(follower)
        if not channel.followers:
            del self._channels[key]
            self._runs.pop(key).cancel()

    async def _listen(self) -> None:
        """Wake the channels of each market that Valkey names; the poll finds what is missed while Valkey is away."""
        while True:
            try:
                client = Redis.from_url(settings.REDIS_URL, socket_connect_timeout=2)
                async with client, client.pubsub(ignore_subscribe_messages=True) as pubsub:
                    await pubsub.subscribe(CHANGES_CHANNEL)
                    lead = int(await client.eval(STEADY_NOW, 0)) / 1e6 - monotonic()
                    async for message in pubsub.listen():
                        key, _, at = message["data"].decode().split(" ")
                        for channel in self._channels.values():
                            if market_key(channel.market.symbol) == key:
                                channel.wake(int(at) / 1e6 - lead)
                        for trades, _ in self._trades.values():
                            if market_key(trades.market.symbol) == key:
                                trades.wake()
            except (RedisError, OSError) as exc:
                log.warning("no wake-ups: the cache is away", reason=str(exc).partition("\n")[0])
                await asyncio.sleep(POLL_INTERVAL_S)

    async def _poll(self) -> None:
        """Wake the channels whose market has moved on, and those of trades."""
        for trades, _ in self._trades.values():
            trades.wake()
        ids = list({market for market, _ in self._channels})
        if not ids:
            return
        values = {"ids": ids, "stale": stale_after()}
        heads = await self._poller.run(partial(fetch_all, statement("push", "heads"), values))
        by_market = {market: head for market, *head in heads}
        for (market, _), channel in list(self._channels.items()):
            if market in by_market and channel.is_behind(*by_market[market]):
                channel.wake()

    async def _sweep(self) -> None:
        """Cut connections that take nothing, send heartbeats to silent ones, and publish the metrics."""
        now = monotonic()
        for follower, cut in list(self._followers.items()):
            if follower.sending_since is not None and now - follower.sending_since > self._stuck:
                log.warning("a connection takes nothing: it is cut", seconds=self._stuck)
                SSE_CUT.inc()
                cut()
            elif now - follower.sent_at > self._heartbeat:
                follower.beat()
        SSE_EVENTS.inc(self.sent)
        self.sent = 0
        streams = Counter(one.ticket.stream for one in self._followers if one.ticket.stream is not None)
        following = sum(not isinstance(one, SocketFollower) for one in self._followers)
        if self._count.is_due(following, streams):
            await asyncio.to_thread(publish_follower_count, following, streams)

    async def _renew_and_check(self) -> None:
        """Renew the leases of the streams that are followed, and end the streams of those who may no longer read."""
        tickets = [one.ticket for one in self._followers]
        streams = list({ticket.stream for ticket in tickets if ticket.stream is not None})
        if streams:
            await self._poller.run(partial(renew_all, streams))

        keys = {ticket.key for ticket in tickets if ticket.key is not None}
        users = {ticket.user for ticket in tickets if ticket.user is not None}
        if not keys and not users:
            return
        gone = await self._poller.run(partial(no_longer_allowed, list(keys), list(users)))
        for follower in list(self._followers):
            if gone & {follower.ticket.key, follower.ticket.user}:
                follower.close()


def _key(ticket: Ticket) -> SeriesKey:
    return ticket.market or 0, ticket.timeframe


async def _run(channel: Channel | TickerChannel | TradeChannel) -> None:
    """Run a channel; if it fails, end its streams: the readers reconnect, to a new channel."""
    try:
        await channel.run()
    except Exception as exc:
        market = "all" if isinstance(channel, TickerChannel) else channel.market.symbol
        log.error("a series cannot be followed", market=market, exc_info=exc)
        for follower in list(channel.followers):
            follower.close()


async def _every(seconds: float, work: Callable[[], Awaitable[Any]]) -> None:
    """Call work() again and again; if the database is away, try again the next time."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except DatabaseAway as exc:
            log.warning("database away", reason=str(exc))
