"""Followers of a series by both clients, each in a thread, that keep what the updates make of it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import datetime
from threading import Event, Thread

from candlekeep_client import AsyncClient, Candle, CandleChanged, CandleRemoved, Candles, Client, Snapshot, Update
from candlekeep_client import WatermarkMoved as Watermark


class Follower:
    """Follows from some candles on, until it is left; fails there with what went wrong."""

    def __init__(self, address: str, known: Candles, *, waits: bool) -> None:
        """waits: by Client, else by AsyncClient."""
        self.rows: dict[datetime, Candle] = {candle.time: candle for candle in known}
        self.watermark = known.certificate.watermark
        self.snapshots: list[Snapshot] = []
        self.repeated: list[Update] = []
        self._address, self._known, self._stop = address, known, Event()
        self._failures: list[BaseException] = []
        self._thread = Thread(target=self._run, args=(waits,), daemon=True)

    def __enter__(self) -> Follower:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()
        self._thread.join(60)
        assert not self._thread.is_alive() and self._failures == []

    def leave(self) -> None:
        """End with the next update."""
        self._stop.set()

    def newest(self) -> Candle | None:
        """Return the newest candle; fail if following has ended."""
        assert self._failures == []
        return self.rows[max(self.rows)] if self.rows else None

    def is_at(self, instant: datetime) -> bool:
        """Return whether everything before this time is known; fail if following has ended."""
        assert self._failures == []
        return self.watermark is not None and self.watermark >= instant

    def _run(self, waits: bool) -> None:
        try:
            self._follow() if waits else asyncio.run(self._follow_async())
        except BaseException as exc:
            self._failures.append(exc)

    def _follow(self) -> None:
        found = self._known.certificate
        with Client(self._address) as ck:
            for update in ck.follow(found.market, found.timeframe, cursor=self._known):
                self._take(update)
                if self._stop.is_set():
                    return

    async def _follow_async(self) -> None:
        found = self._known.certificate
        async with AsyncClient(self._address) as ck:
            updates = ck.follow(found.market, found.timeframe, cursor=self._known)
            async with aclosing(updates) as following:
                async for update in following:
                    self._take(update)
                    if self._stop.is_set():
                        return

    def _take(self, update: Update) -> None:
        if isinstance(update, CandleChanged):
            before = self.rows.get(update.candle.time)
            self.repeated += [update] if before == update.candle else []
            assert before is None or before.source != "live" or before.revision <= update.candle.revision
            self.rows[update.candle.time] = update.candle
        elif isinstance(update, CandleRemoved):
            self.repeated += [update] if self.rows.pop(update.time, None) is None else []
        elif isinstance(update, Watermark):
            self.watermark = update.watermark
        elif isinstance(update, Snapshot):
            self.snapshots.append(update)
