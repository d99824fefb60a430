"""What our own pages show beside a stream, written once for everybody who looks at it and pushed on that stream.

The stream process knows no page: settings.PAGE_PARTS names what writes the parts of each, and how often at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

import structlog
from django.conf import settings
from django.utils.module_loading import import_string

from datastore.sse.follower import Follower
from datastore.sse.messages import part_event
from datastore.sse.reader_pool import DatabaseAway, ReaderThread

AWAY_AFTER_S = 5.0  # a database that takes longer is said to be away
AWAY = "away"
BACK_EVENT = part_event(AWAY, "")
AWAY_EVENT = part_event(AWAY, "The database does not answer: what is shown stands still, and goes on by itself.")
LOOK_INTERVAL_S = 10.0  # what changes without a wake-up: repairs, alerts, times that run out
Parts = Mapping[str, bytes]  # events by what they show: who is slow gets the newest of each
log = structlog.get_logger(__name__)


class PageParts:
    """The parts of one page with everybody who looks at it. Belongs to the event loop."""

    def __init__(self, page: str, symbol: str, timeframe: str, reader: ReaderThread) -> None:
        """Do nothing until run(). Without a symbol the page shows all followed markets."""
        path, self._interval = settings.PAGE_PARTS[page]
        self._write = partial(write_parts, path, symbol, timeframe)
        self.followers: set[Follower] = set()
        self._reader = reader
        self._due = asyncio.Event()
        self._shown: Parts = {}

    def join(self, follower: Follower) -> None:
        """Add a follower and show it what is known."""
        self.followers.add(follower)
        follower.put_parts(self._shown)

    def leave(self, follower: Follower) -> None:
        """Forget a follower."""
        self.followers.discard(follower)

    def wake(self) -> None:
        """Write the parts again as soon as their interval allows."""
        self._due.set()

    async def run(self) -> None:
        """Publish what changed, until cancelled."""
        while True:
            try:
                written = await self._written()
            except DatabaseAway as exc:
                log.warning("database away", reason=str(exc))
                self._publish({**self._shown, AWAY: AWAY_EVENT})
            except Exception as exc:  # candles and tickers go on without
                log.error("the parts of a page cannot be written", exc_info=exc)
            else:
                self._publish({**written, AWAY: BACK_EVENT})
            await asyncio.sleep(self._interval)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._due.wait(), max(LOOK_INTERVAL_S - self._interval, 0))
            self._due.clear()

    async def _written(self) -> Parts:
        """Return the parts as they are now; say meanwhile if the database lets us wait."""
        job = asyncio.ensure_future(self._reader.run(self._write))
        try:
            await asyncio.wait({job}, timeout=AWAY_AFTER_S)
            if not job.done():
                self._publish({**self._shown, AWAY: AWAY_EVENT})
            return await job
        finally:
            job.cancel()

    def _publish(self, written: Parts) -> None:
        news = {name: event for name, event in written.items() if self._shown.get(name) != event}
        self._shown = written
        if news:
            for follower in self.followers:
                follower.put_parts(news)


class OpenPages:
    """Our own pages that anybody looks at in this process. Belongs to the event loop."""

    def __init__(self, reader: ReaderThread) -> None:
        """Write them in this thread."""
        self._reader = reader
        self._open: dict[tuple[str, str, str], tuple[PageParts, asyncio.Task[None]]] = {}  # by page and what it shows

    def join(self, follower: Follower) -> PageParts:
        """Return the parts that a follower's page shows, the follower added."""
        key = _key(follower)
        if key not in self._open:
            parts = PageParts(*key, self._reader)
            self._open[key] = parts, asyncio.create_task(parts.run())
        self._open[key][0].join(follower)
        return self._open[key][0]

    def leave(self, follower: Follower) -> None:
        """Forget a follower; write no longer what nobody looks at."""
        if _key(follower) not in self._open:
            return
        parts, run = self._open[_key(follower)]
        parts.leave(follower)
        if not parts.followers:
            del self._open[_key(follower)]
            run.cancel()

    def runs(self) -> list[asyncio.Task[None]]:
        """Return what is running for them."""
        return [run for _, run in self._open.values()]


def _key(follower: Follower) -> tuple[str, str, str]:
    return follower.ticket.parts, follower.ticket.symbol, follower.ticket.timeframe


def write_parts(path: str, symbol: str, timeframe: str) -> Parts:
    """Return the parts as they are now; path: the function that writes them, with its module."""
    write: Callable[[str, str], Parts] = import_string(path)
    return write(symbol, timeframe)
