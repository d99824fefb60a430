"""One reader of a stream: what it was shown, what waits for it, and when something was last sent to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from time import monotonic

from datastore.access.stream_tickets import Ticket
from datastore.sse.backlog import Backlog, Overflow
from datastore.sse.cursor import Cursor, ReadTime
from datastore.sse.messages import HEARTBEAT, Block, tickers_event


class Follower:
    """Belongs to the event loop. A channel puts something in, the connection takes bytes out."""

    def __init__(self, ticket: Ticket) -> None:
        self.ticket = ticket
        self.sent_at = monotonic()
        self.sending_since: float | None = None
        self._closed = self._heartbeat_due = False
        self._parts: dict[str, bytes] = {}  # of our own page, where one follows: the newest event of each
        self._wake_up = asyncio.Event()

    async def next(self) -> bytes | None:
        """Return the next bytes to send, None at the end."""
        while not self._closed:
            if text := self._take():
                return text
            if self._parts:
                parts, self._parts = self._parts, {}
                return b"".join(parts.values())
            if self._heartbeat_due:
                self._heartbeat_due = False
                return HEARTBEAT
            self._wake_up.clear()
            await self._wake_up.wait()
        return None

    def beat(self) -> None:
        """Send a heartbeat comment so that proxies keep the connection open."""
        self._heartbeat_due = True
        self._wake_up.set()

    def put_parts(self, parts: Mapping[str, bytes]) -> None:
        """Add what changed beside the stream on the page that follows it: events by what they show."""
        self._parts |= parts
        self._wake_up.set()

    def close(self) -> None:
        """End the stream."""
        self._closed = True
        self._wake_up.set()

    @property
    def merged(self) -> int:
        """Return how many changes went out as part of newer ones."""
        raise NotImplementedError

    def _take(self) -> bytes | None:
        """Return what waits; None if nothing does."""
        raise NotImplementedError


class SocketFollower(Follower):
    """An open WebSocket by itself, whatever it follows: it takes a place, and ends with its key."""

    def __init__(self, ticket: Ticket, end: Callable[[], None]) -> None:
        """Call end() at the end."""
        super().__init__(ticket)
        self._end = end

    @property
    def merged(self) -> int:
        """Return 0: nothing is sent by it."""
        return 0

    def close(self) -> None:
        """End the connection."""
        super().close()
        self._end()


class TickerFollower(Follower):
    """Reads the tickers of all followed markets."""

    def __init__(self, ticket: Ticket) -> None:
        super().__init__(ticket)
        self._merged = 0
        self._waiting: dict[str, bytes] = {}  # the newest of each market

    @property
    def merged(self) -> int:
        """Return how many changes went out as part of newer ones."""
        return self._merged

    def put(self, tickers: Mapping[str, bytes]) -> None:
        """Add what changed, by market, as JSON."""
        self._merged += len(self._waiting.keys() & tickers.keys())
        self._waiting |= tickers
        self._wake_up.set()

    def _take(self) -> bytes | None:
        waiting, self._waiting = self._waiting, {}
        return tickers_event(waiting.values()) if waiting else None


class SeriesFollower(Follower):
    """Reads the candles of one series."""

    def __init__(self, ticket: Ticket, cursor: Cursor | None, refusal: str | None = None) -> None:
        """Begin at a cursor, or with a snapshot; refusal: why the cursor that the reader sent cannot be used."""
        super().__init__(ticket)
        self.cursor, self.refusal = cursor, refusal
        self.catching_up: asyncio.Task[None] | None = None
        self.backlog = Backlog()
        self._first: Block | None = None
        self._known: ReadTime | None = None  # what the reader was shown; None until its first block

    @property
    def merged(self) -> int:
        """Return how many changes went out as part of newer ones."""
        return self.backlog.merged

    def begin(self, block: Block) -> None:
        """Show this block before anything that waits."""
        self._first = block
        self._wake_up.set()

    def forget(self) -> None:
        """Discard what the reader was shown and what waits: a new first block is on its way."""
        self.backlog.clear()
        self._first = self._known = None

    def put(self, block: Block) -> bool:
        """Add what changed; return False if too much waits."""
        try:
            self.backlog.put(block)
        except Overflow:
            return False
        self._wake_up.set()
        return True

    def _take(self) -> bytes | None:
        """Return the first block, then what waits and is newer than what was shown; None if there is nothing."""
        if self._first is not None:
            block, self._first = self._first, None
            self._known = block.read_at
            return block.whole
        taken = self.backlog.take(self._known) if self._known is not None else None
        if taken is None:
            return None
        self._known, text = taken
        return text
