"""All channels of this process, and what they have in common: one subscription, one look, one sweep.

Truth is the database. Valkey only wakes: where it is away, or a sign is lost, the look finds what changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from time import monotonic
from typing import Any

import structlog
from django.conf import settings
from redis.asyncio import Redis
from redis.exceptions import RedisError

from datastore.access.stream_tickets import Ticket, may_still_read, no_longer_allowed
from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement
from datastore.ingest.market_cache import CHANGES_CHANNEL, market_key
from datastore.models import Market
from datastore.sse.channel import Channel
from datastore.sse.follower import Follower
from datastore.sse.follower_counts import count_followers
from datastore.sse.reader_pool import Away, Reader
from datastore.streams.lifecycle import renew_all
from datastore.timeframes.timeframe import TIMEFRAMES
from metering.table import SSE_CUT, SSE_EVENTS, SSE_MERGED

LOOK = 1.0  # seconds: how soon a change is seen whose sign was lost
SWEEP = 1.0
HEARTBEAT = 15.0
STUCK = 60.0  # seconds after which a connection that takes nothing is cut
RENEW = 60.0  # at the most: leases may be shorter
READERS = 3
log = structlog.get_logger(__name__)
Place = tuple[int, str]  # market's id, timeframe


class Hub:
    """Belongs to the event loop, between start() and close()."""

    def __init__(self, heartbeat: float = HEARTBEAT, stuck: float = STUCK, renew: float | None = None) -> None:
        """Nothing happens yet; spans in seconds."""
        self._heartbeat, self._stuck = heartbeat, stuck
        self._renew = min(RENEW, settings.STREAM_LEASE / 3) if renew is None else renew
        self._channels: dict[Place, Channel] = {}
        self._runs: dict[Place, asyncio.Task[None]] = {}
        self._homes: dict[Follower, tuple[Place, Callable[[], None]]] = {}
        self._readers = [Reader(f"reader-{number}") for number in range(READERS)]
        self._looker = Reader("looker")
        self._tasks: list[asyncio.Task[None]] = []
        self.sent = 0  # events since the last sweep

    def __len__(self) -> int:
        """Return how many follow."""
        return len(self._homes)

    def start(self) -> None:
        """Begin to listen and to look."""
        turns = ((LOOK, self._look), (SWEEP, self._sweep), (self._renew, self._keep))
        self._tasks = [asyncio.create_task(_every(seconds, work)) for seconds, work in turns]
        self._tasks.append(asyncio.create_task(self._listen()))

    async def close(self) -> None:
        """Let all followers go, and end."""
        for task in [*self._tasks, *self._runs.values()]:
            task.cancel()
        for follower in list(self._homes):
            follower.close()
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        for reader in [*self._readers, self._looker]:
            reader.close()

    async def may_still_read(self, ticket: Ticket) -> bool:
        """Tell whether whoever got a ticket may read still; a database that is away is waited for."""
        while True:
            try:
                return await self._looker.run(partial(may_still_read, ticket))
            except Away:
                await asyncio.sleep(LOOK)

    def join(self, follower: Follower, cut: Callable[[], None]) -> None:
        """Let somebody follow; cut ends his connection at once."""
        ticket = follower.ticket
        place = ticket.market, ticket.timeframe
        channel = self._channels.get(place)
        if channel is None:
            channel = self._open(place, ticket.symbol)
        self._homes[follower] = place, cut
        channel.join(follower)

    def leave(self, follower: Follower) -> None:
        """Forget a follower; a channel without any is closed."""
        place, _ = self._homes.pop(follower)
        SSE_MERGED.inc(follower.outbox.merged)
        channel = self._channels.get(place)
        if channel is None:
            return
        channel.leave(follower)
        if not channel.followers:
            del self._channels[place]
            self._runs.pop(place).cancel()

    def _open(self, place: Place, symbol: str) -> Channel:
        reader = self._readers[hash(place) % READERS]
        channel = Channel(Market(pk=place[0], symbol=symbol), TIMEFRAMES[place[1]], reader)
        self._channels[place] = channel
        self._runs[place] = asyncio.create_task(channel.run())
        self._runs[place].add_done_callback(partial(self._failed, channel))
        return channel

    def _failed(self, channel: Channel, run: asyncio.Task[None]) -> None:
        """Let the followers of a channel go whose work has failed: they come again, to a new one."""
        if not run.cancelled() and (failure := run.exception()):
            log.error("a series cannot be followed", market=channel.market.symbol, exc_info=failure)
            for follower in list(channel.followers):
                follower.close()

    async def _listen(self) -> None:
        """Wake whoever follows a market that Valkey tells of; what was missed while it was away, the look finds."""
        while True:
            try:
                client = Redis.from_url(settings.REDIS_URL, socket_connect_timeout=2)
                async with client, client.pubsub(ignore_subscribe_messages=True) as pubsub:
                    await pubsub.subscribe(CHANGES_CHANNEL)
                    async for message in pubsub.listen():
                        self._told(message["data"])
            except (RedisError, OSError) as exc:
                log.warning("no wake-ups: the cache is away", reason=str(exc).partition("\n")[0])
                await asyncio.sleep(LOOK)

    def _told(self, message: bytes) -> None:
        """Read `key version microseconds`."""
        key, _, at = message.decode().split(" ")
        for channel in self._channels.values():
            if market_key(channel.market.symbol) == key:
                channel.wake(int(at) / 1e6)

    async def _look(self) -> None:
        ids = list({market for market, _ in self._channels})
        if not ids:
            return
        values = {"ids": ids, "stale": timedelta(seconds=settings.STALE_AFTER)}
        heads = await self._looker.run(partial(fetch_all, statement("push", "heads"), values))
        for market, *head in heads:
            for (of, _), channel in list(self._channels.items()):
                if of == market and channel.place is not None and _moved(channel, *head):
                    channel.wake()

    async def _sweep(self) -> None:
        """See to connections that were silent for long, or that take nothing; count."""
        now = monotonic()
        for follower, (_, cut) in list(self._homes.items()):
            if follower.sending_since is not None and now - follower.sending_since > self._stuck:
                log.warning("a connection takes nothing: it is cut", seconds=self._stuck)
                SSE_CUT.inc()
                cut()
            elif now - follower.sent_at > self._heartbeat:
                follower.beat()
        SSE_EVENTS.inc(self.sent)
        self.sent = 0
        await asyncio.to_thread(count_followers, len(self))

    async def _keep(self) -> None:
        """Renew the leases of streams that are followed, and let go who may not read any more."""
        tickets = [one.ticket for one in self._homes]
        streams = list({ticket.stream for ticket in tickets if ticket.stream is not None})
        if streams:
            await self._looker.run(partial(renew_all, streams))
        keys = {ticket.key for ticket in tickets if ticket.key is not None}
        users = {ticket.user for ticket in tickets if ticket.user is not None}
        gone = await self._looker.run(partial(no_longer_allowed, list(keys), list(users))) if keys or users else set()
        for follower in list(self._homes):
            if gone & {follower.ticket.key, follower.ticket.user}:
                follower.close()


def _moved(channel: Channel, series: str, version: int, watermark: int | None, now: int) -> bool:
    """Tell whether a market stands elsewhere than its channel, or a minute has begun: time alone closes candles too."""
    assert channel.place is not None  # noqa: S101 - asked by the caller
    cursor, moment = channel.place
    here = cursor.series, cursor.version, cursor.watermark
    return here != (series, version, watermark) or moment.now // 60_000_000 != now // 60_000


async def _every(seconds: float, work: Callable[[], Awaitable[Any]]) -> None:
    """Do something again and again; a database that is away is asked again the next time."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except Away as exc:
            log.warning("database away", reason=str(exc))
