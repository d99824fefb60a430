"""One reader of one series: what he was shown, what waits for him, and when something was sent to him last."""

from __future__ import annotations

import asyncio
from time import monotonic

from datastore.access.stream_tickets import Ticket
from datastore.sse.backlog import Backlog, Overflow
from datastore.sse.cursor import Cursor, Moment
from datastore.sse.messages import HEARTBEAT, Block


class Follower:
    """Belongs to the event loop. The channel puts in, the connection takes out."""

    def __init__(self, ticket: Ticket, cursor: Cursor | None, refused: str | None = None) -> None:
        """Begin at a cursor, or with the newest buckets; refused: why a cursor that he has does not count."""
        self.ticket, self.cursor, self.refused = ticket, cursor, refused
        self.outbox = Backlog()
        self.catching_up: asyncio.Task[None] | None = None
        self.sent_at = monotonic()
        self.sending_since: float | None = None
        self._first: Block | None = None
        self._known: Moment | None = None  # what he was shown; None: he is to be shown a first block
        self._closed = self._beat = False
        self._bell = asyncio.Event()

    async def next(self) -> bytes | None:
        """Return the next bytes to send, None at the end."""
        while not self._closed:
            if text := self._take():
                return text
            if self._beat:
                self._beat = False
                return HEARTBEAT
            self._bell.clear()
            await self._bell.wait()
        return None

    def begin(self, block: Block) -> None:
        """Show this block before anything that waits."""
        self._first = block
        self._bell.set()

    def forget(self) -> None:
        """Let nothing count that he was shown or that waits: a first block is to come."""
        self.outbox.clear()
        self._first = self._known = None

    def put(self, block: Block) -> bool:
        """Add what changed; False where too much waits."""
        try:
            self.outbox.put(block)
        except Overflow:
            return False
        self._bell.set()
        return True

    def beat(self) -> None:
        """Say something, that everybody on the way sees that the connection lives."""
        self._beat = True
        self._bell.set()

    def close(self) -> None:
        """End the stream."""
        self._closed = True
        self._bell.set()

    def _take(self) -> bytes | None:
        if self._first is not None:
            block, self._first = self._first, None
            self._known = block.moment
            return block.whole
        taken = self.outbox.take(self._known) if self._known is not None else None
        if taken is None:
            return None
        self._known, text = taken
        return text
