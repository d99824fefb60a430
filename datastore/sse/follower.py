"""One reader of one series: what it was shown, what waits for it, and when something was last sent to it."""

from __future__ import annotations

import asyncio
from time import monotonic

from datastore.access.stream_tickets import Ticket
from datastore.sse.backlog import Backlog, Overflow
from datastore.sse.cursor import Cursor, ReadTime
from datastore.sse.messages import HEARTBEAT, Block


class Follower:
    """Belongs to the event loop. The channel puts blocks in, the connection takes bytes out."""

    def __init__(self, ticket: Ticket, cursor: Cursor | None, refusal: str | None = None) -> None:
        """Begin at a cursor, or with a snapshot; refusal: why the cursor that the reader sent cannot be used."""
        self.ticket, self.cursor, self.refusal = ticket, cursor, refusal
        self.backlog = Backlog()
        self.catching_up: asyncio.Task[None] | None = None
        self.sent_at = monotonic()
        self.sending_since: float | None = None
        self._first: Block | None = None
        self._known: ReadTime | None = None  # what the reader was shown; None until its first block
        self._closed = self._heartbeat_due = False
        self._wake_up = asyncio.Event()

    async def next(self) -> bytes | None:
        """Return the next bytes to send, None at the end."""
        while not self._closed:
            if text := self._take():
                return text
            if self._heartbeat_due:
                self._heartbeat_due = False
                return HEARTBEAT
            self._wake_up.clear()
            await self._wake_up.wait()
        return None

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

    def beat(self) -> None:
        """Send a heartbeat comment so that proxies keep the connection open."""
        self._heartbeat_due = True
        self._wake_up.set()

    def close(self) -> None:
        """End the stream."""
        self._closed = True
        self._wake_up.set()

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
