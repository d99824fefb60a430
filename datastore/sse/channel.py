"""One series with all who follow it in this process: each change is read once, whoever many they are.

A follower is registered first and shown his first block then: whatever the channel publishes meanwhile waits for him,
and of that only what is later than his block is sent. So nothing is left out between the two, and nothing goes back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

import structlog

from datastore.models import Market
from datastore.sse.cursor import Cursor, Moment
from datastore.sse.delta import Delta
from datastore.sse.delta_reader import SeriesGone, read_delta, read_place, read_snapshot
from datastore.sse.follower import Follower
from datastore.sse.messages import Block, block_of
from datastore.sse.reader_pool import Away, Reader
from datastore.timeframes.timeframe import Timeframe
from metering.table import SSE_DELAY, SSE_SNAPSHOTS

SLOW = "the reader was too slow: more changed than is kept for one"
AGAIN = 0.5  # seconds until a database that is away is asked again
log = structlog.get_logger(__name__)
Question = tuple[Cursor | None, int, str | None]


class Channel:
    """Belongs to the event loop."""

    def __init__(self, market: Market, frame: Timeframe, reader: Reader) -> None:
        """Nothing happens before run()."""
        self.market, self.frame = market, frame
        self.followers: set[Follower] = set()
        self.place: tuple[Cursor, Moment] | None = None  # up to where changes are published
        self.woken_at: float | None = None  # when the change was committed that woke us
        self._reader = reader
        self._due, self._open = asyncio.Event(), asyncio.Event()
        self._due.set()
        self._shown: dict[int, str] = {}  # rows as they were published last, of which some are read again each time
        self._blocks: dict[Question, asyncio.Task[Block]] = {}

    def wake(self, at: float | None = None) -> None:
        """Look for changes as soon as may be; at: when they were committed."""
        self.woken_at = self.woken_at or at
        self._due.set()

    def join(self, follower: Follower) -> None:
        """Let somebody follow from now on."""
        self.followers.add(follower)
        self._show_first(follower, follower.cursor, follower.refused)

    def leave(self, follower: Follower) -> None:
        """Forget a follower."""
        self.followers.discard(follower)
        if follower.catching_up is not None:
            follower.catching_up.cancel()

    async def run(self) -> None:
        """Publish what changes, until cancelled."""
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                await self._turn()
            except Away as exc:
                log.warning("database away", market=self.market.symbol, reason=str(exc))
                await asyncio.sleep(AGAIN)
                self._due.set()

    async def _turn(self) -> None:
        if self.place is None:
            self.place = await self._reader.run(partial(read_place, self.market))
            self._open.set()
            return
        at, self.woken_at = self.woken_at, None
        since, _ = self.place
        found = await self._reader.run(partial(read_delta, self.market, self.frame, since))
        if isinstance(found, SeriesGone):
            self._start_anew(found)
        else:
            self._publish(found, at)

    def _publish(self, found: Delta, at: float | None) -> None:
        delta = found.without(self._shown)
        self._shown = {row.open: row.text for row in found.rows}
        self.place = found.upto, found.moment
        self._blocks = {asked: task for asked, task in self._blocks.items() if not task.done()}
        if not delta.rows and not delta.holes and found.upto == found.since:
            return
        block = block_of(delta)
        for follower in list(self.followers):
            if not follower.put(block):
                self._show_first(follower, None, SLOW)
        if at is not None:
            SSE_DELAY.observe(max(time.time() - at, 0))

    def _start_anew(self, lost: SeriesGone) -> None:
        self.place, self._shown = (lost.head, lost.moment), {}
        for follower in list(self.followers):
            self._show_first(follower, None, lost.reason)

    def _show_first(self, follower: Follower, cursor: Cursor | None, reason: str | None) -> None:
        if follower.catching_up is not None:
            follower.catching_up.cancel()
        follower.forget()
        follower.catching_up = asyncio.create_task(self._catch_up(follower, (cursor, follower.ticket.limit, reason)))
        follower.catching_up.add_done_callback(partial(_end_of, follower))

    async def _catch_up(self, follower: Follower, question: Question) -> None:
        await self._open.wait()
        assert self.place is not None  # noqa: S101 - it is open
        follower.begin(await self._first_block(question, self.place[1]))

    async def _first_block(self, question: Question, since: Moment) -> Block:
        """Return the block, read not before `since`; many who ask for the same share one reading."""
        while True:
            task = self._blocks.get(question)
            if task is None or (task.done() and (task.exception() or task.result().moment < since)):
                task = self._blocks[question] = asyncio.create_task(self._read_first(question))
            block = await asyncio.shield(task)
            if block.moment >= since:
                return block

    async def _read_first(self, question: Question) -> Block:
        read: Callable[[], Block] = partial(first_block, self.market, self.frame, *question)
        while True:
            try:
                return await self._reader.run(read)
            except Away:
                await asyncio.sleep(AGAIN)


def first_block(market: Market, frame: Timeframe, cursor: Cursor | None, limit: int, reason: str | None) -> Block:
    """Return what a follower is shown first: the changes since his cursor, else all anew and why."""
    if cursor is not None:
        found = read_delta(market, frame, cursor)
        if isinstance(found, Delta):
            return block_of(found)
        reason = found.reason
        places = {"asked": str(cursor), "head": str(found.head)}
        log.info("a cursor cannot be honoured", market=market.symbol, timeframe=frame.name, reason=reason, **places)
    if reason is not None:
        SSE_SNAPSHOTS.inc()
    return read_snapshot(market, frame.name, limit, reason)


def _end_of(follower: Follower, catching_up: asyncio.Task[None]) -> None:
    """Let somebody go who cannot be shown anything; he comes again."""
    if not catching_up.cancelled() and (failure := catching_up.exception()):
        log.error("a reader could not be shown the series", exc_info=failure)
        follower.close()
