"""One series with everything that follows it in this process: each change is read once, however many follow it.

A follower is registered before its first block is read. Whatever the channel publishes in between waits for it, and
only what is newer than the first block is sent. So nothing is left out between the two, and nothing goes back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from time import monotonic

import structlog

from datastore.models import Market
from datastore.sse.cursor import Cursor, ReadTime
from datastore.sse.delta import Delta
from datastore.sse.delta_reader import read_delta, read_position, read_snapshot
from datastore.sse.follower import SeriesFollower
from datastore.sse.messages import Block, block_of
from datastore.sse.page_parts import PageParts
from datastore.sse.reader_pool import DatabaseAway, ReaderThread
from datastore.timeframes.timeframe import Timeframe
from metering.table import SSE_DELAY, SSE_SNAPSHOTS

TOO_SLOW = "the reader was too slow: more changed than is kept for one reader"
RETRY_DELAY_S = 0.5  # while the database is away
log = structlog.get_logger(__name__)
FirstBlockKey = tuple[Cursor | None, int, str | None]  # the reader's cursor, its limit, why it gets a snapshot


class Channel:
    """Belongs to the event loop."""

    def __init__(self, market: Market, frame: Timeframe, reader: ReaderThread) -> None:
        """Do nothing until run()."""
        self.market, self.frame = market, frame
        self.followers: set[SeriesFollower] = set()
        self.position: tuple[Cursor, ReadTime] | None = None  # everything up to here is published
        self.parts: PageParts | None = None  # of the page that shows it, while one does
        self.woken_at: float | None = None  # when the oldest unpublished change was committed (monotonic)
        self._reader = reader
        self._due, self._open = asyncio.Event(), asyncio.Event()
        self._due.set()
        self._shown: dict[int, str] = {}  # rows as last published; some of them are read again each time
        self._blocks: dict[FirstBlockKey, asyncio.Task[Block]] = {}

    def wake(self, at: float | None = None) -> None:
        """Read changes as soon as possible; at: when they were committed (monotonic)."""
        self.woken_at = self.woken_at or at
        self._due.set()

    def join(self, follower: SeriesFollower) -> None:
        """Add a follower."""
        self.followers.add(follower)
        self._show_first(follower, follower.cursor, follower.refusal)

    def leave(self, follower: SeriesFollower) -> None:
        """Forget a follower."""
        self.followers.discard(follower)
        if follower.catching_up is not None:
            follower.catching_up.cancel()

    def is_behind(self, series: str, version: int, watermark: int | None, now: int) -> bool:
        """Return whether the market has moved on since the channel read it (watermark and now in ms).

        So it has when a minute has begun: time alone closes candles too.
        """
        if self.position is None:
            return False
        cursor, read_at = self.position
        moved = (cursor.series, cursor.version, cursor.watermark) != (series, version, watermark)
        return moved or read_at.now // 60_000_000 != now // 60_000

    async def run(self) -> None:
        """Publish changes until cancelled."""
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                await self._turn()
            except DatabaseAway as exc:
                log.warning("database away", market=self.market.symbol, reason=str(exc))
                await asyncio.sleep(RETRY_DELAY_S)
                self._due.set()

    async def _turn(self) -> None:
        if self.position is None:
            self.position = await self._reader.run(partial(read_position, self.market))
            self._open.set()
            return

        at, self.woken_at = self.woken_at, None
        since, _ = self.position
        found = await self._reader.run(partial(read_delta, self.market, self.frame, since))
        if isinstance(found, Delta):
            self._publish(found, at)
            return

        self.position, self._shown = (found.head, found.read_at), {}
        for follower in list(self.followers):
            self._show_first(follower, None, found.reason)

    def _publish(self, found: Delta, at: float | None) -> None:
        """Give the followers what they were not shown yet; at: when it was committed, if known."""
        delta = found.without(self._shown)
        self._shown = {row.open: row.text for row in found.rows}
        self.position = found.upto, found.read_at
        self._blocks = {key: task for key, task in self._blocks.items() if not task.done()}
        if not delta.rows and not delta.gaps and found.upto == found.since:
            return

        if self.parts:
            self.parts.wake()
        block = block_of(delta)
        for follower in list(self.followers):
            if not follower.put(block):
                self._show_first(follower, None, TOO_SLOW)
        if at is not None:
            SSE_DELAY.observe(max(monotonic() - at, 0))

    def _show_first(self, follower: SeriesFollower, cursor: Cursor | None, reason: str | None) -> None:
        if follower.catching_up is not None:
            follower.catching_up.cancel()
        follower.forget()
        follower.catching_up = asyncio.create_task(self._catch_up(follower, (cursor, follower.ticket.limit, reason)))

    async def _catch_up(self, follower: SeriesFollower, key: FirstBlockKey) -> None:
        """Give a follower its first block; followers that need the same one share one read."""
        try:
            await self._open.wait()
            while True:
                assert self.position is not None  # noqa: S101 - it is open
                since = self.position[1]  # read again each time: it goes back where a claim is taken back
                task = self._blocks.get(key)
                if task is None or (task.done() and (task.exception() or task.result().read_at < since)):
                    task = self._blocks[key] = asyncio.create_task(self._read_first(key))
                block = await asyncio.shield(task)
                if block.read_at >= since:
                    break
            follower.begin(block)
        except Exception as exc:
            log.error("a reader could not be shown the series", exc_info=exc)
            follower.close()  # it reconnects

    async def _read_first(self, key: FirstBlockKey) -> Block:
        read: Callable[[], Block] = partial(first_block, self.market, self.frame, *key)
        while True:
            try:
                return await self._reader.run(read)
            except DatabaseAway:
                await asyncio.sleep(RETRY_DELAY_S)


def first_block(market: Market, frame: Timeframe, cursor: Cursor | None, limit: int, reason: str | None) -> Block:
    """Return what a follower is shown first: the changes since its cursor, else a snapshot and why."""
    if cursor is not None:
        found = read_delta(market, frame, cursor)
        if isinstance(found, Delta):
            return block_of(found)
        reason = found.reason
        log.info(
            "a cursor cannot be honoured",
            market=market.symbol,
            timeframe=frame.name,
            reason=reason,
            asked=str(cursor),
            head=str(found.head),
        )
    if reason is not None:
        SSE_SNAPSHOTS.inc()
    return read_snapshot(market, frame.name, limit, reason)
