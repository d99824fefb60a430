"""Where a follower is in its series, and when it connects again: the same for both clients."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from datetime import datetime
from time import monotonic

import httpx

from candlekeep_client.candles import Candle, Candles
from candlekeep_client.errors import Refused, Unreachable
from candlekeep_client.questions import error_of, range_params
from candlekeep_client.updates import CandleChanged, CandleRemoved, EventReader, Snapshot, Update

PATH = "candles/stream"
SILENCE_S = 45.0  # a sign of life comes every 15
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 15.0
MAX_SHOWN = 2_000  # candles whose last state is remembered

log = logging.getLogger("candlekeep_client")


class Place:
    """The place of one follower. It outlives connections; what each brings passes through it."""

    def __init__(
        self,
        market: str,
        timeframe: str,
        cursor: str | Candles | None = None,
        limit: int | None = None,
        patience: float | None = None,
    ) -> None:
        """Begin at a cursor, or behind some candles; patience: for how many seconds in a row nothing may answer."""
        self.params = range_params(market, timeframe, None, None, limit)
        self.patience = patience
        self.cursor: str | None = None
        self._shown: dict[datetime, Candle | None] = {}  # the newest of them, None: removed
        if isinstance(cursor, Candles):
            self._note(cursor)
            cursor = cursor.cursor
        if cursor is not None:
            self.params["cursor"] = cursor
        self._reader = EventReader()
        self._retry_s, self._failures, self._failing_since = FIRST_PAUSE_S, 0, monotonic()

    @property
    def headers(self) -> dict[str, str]:
        """Return what the next connection begins with."""
        plain = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
        return plain if self.cursor is None else {**plain, "Last-Event-ID": self.cursor}

    def connected(self, response: httpx.Response) -> None:
        """Begin to read a response; raise Refused, whose body must have been read, unless it is a stream."""
        if not response.is_success:
            raise error_of(response)
        self._reader = EventReader()

    def taken(self, chunk: bytes) -> Iterator[Update]:
        """Yield what these bytes complete; an update counts as shown when the next one is asked for."""
        self._failures = 0
        for update in self._reader.feed(chunk):
            if self._is_new(update):
                yield update
            self.cursor = update.cursor or self.cursor
        self._retry_s = self._reader.retry_s or self._retry_s

    def pause_after(self, failure: Refused | Unreachable | None) -> float:
        """Return after how many seconds to connect again; None: the stream has ended. Raises what will not pass."""
        if failure is not None and not failure.passes:
            raise failure
        if not self._failures:
            self._failing_since = monotonic()
        if self.patience is not None and monotonic() - self._failing_since > self.patience:
            raise failure or Unreachable("The stream ends again and again.")
        # Not all followers of a server that comes back at the same moment.
        growing = min(self._retry_s * 2**self._failures, LONGEST_PAUSE_S) * random.uniform(0.5, 1.0)
        asked_for = failure.retry_after if failure is not None else None
        pause: float = max(growing, asked_for or 0.0)
        self._failures += 1
        log.warning("%s %s: %s; connects again in %.1f s", *self._named, failure or "the stream ended", pause)
        return pause

    def _is_new(self, update: Update) -> bool:
        """Return whether an update says something that was not shown yet, and note it.

        The server does not know what a reader was shown, so each connection begins with the candles that were not
        closed at its cursor, whether they have changed since or not.
        """
        if isinstance(update, Snapshot):
            self._shown.clear()
            self._note(update.candles)
        if not isinstance(update, CandleChanged | CandleRemoved):
            return True
        time, now = (update.time, None) if isinstance(update, CandleRemoved) else (update.candle.time, update.candle)
        is_new = time not in self._shown or self._shown.pop(time) != now
        self._shown[time] = now
        if len(self._shown) > MAX_SHOWN:
            del self._shown[next(iter(self._shown))]
        return is_new

    def _note(self, candles: Candles) -> None:
        self._shown |= {candle.time: candle for candle in candles[-MAX_SHOWN:]}

    @property
    def _named(self) -> tuple[str, str]:
        return self.params["market"], self.params["timeframe"]
