"""What a stream of a series says, as typed updates. Without a connection: text in, updates out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from candlekeep_client.candles import Candle, Candles
from candlekeep_client.certificate import Segment
from candlekeep_client.times import from_ms

TRADES_CELL = 7


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Replaces everything that was known. reason: why a cursor could not be continued; None at the beginning."""

    candles: Candles
    reason: str | None
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class CandleChanged:
    """A candle as it is now; it replaces the one of the same time."""

    candle: Candle
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class CandleRemoved:
    """A bucket holds no trade any more: its last one was cancelled, or the provider says that there was none."""

    time: datetime
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class GapChanged:
    """A stretch before the watermark that became a gap, changed, or was filled; `segment.is_gap` says which."""

    segment: Segment
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class WatermarkMoved:
    """Up to here the feed is known now; all candles that it closes came before this."""

    watermark: datetime | None
    version: int
    cursor: str | None = None


Update = Snapshot | CandleChanged | CandleRemoved | GapChanged | WatermarkMoved


class EventReader:
    """Makes updates of the bytes of one connection (WHATWG HTML, "Server-sent events").

    Only the last update of a version has a cursor. Those before it are held back until it is there: if the connection
    breaks in between, the server sends all of that version again, and nothing was shown twice.
    """

    def __init__(self) -> None:
        self.retry_s: float | None = None  # how long the server asks to wait before the next connection
        self._rest = b""
        self._fields: dict[str, str] = {}
        self._held: list[Update] = []

    def feed(self, chunk: bytes) -> Iterator[Update]:
        """Yield the updates that these bytes complete."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            text = line.decode().removesuffix("\r")
            if text:
                self._take(text)
            elif (fields := self._fields) != {}:
                self._fields = {}
                yield from self._complete(fields)

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data" and "data" in self._fields:
            value = f"{self._fields['data']}\n{value}"
        if name:  # a line without one is a comment: a sign of life
            self._fields[name] = value

    def _complete(self, fields: Mapping[str, str]) -> Iterator[Update]:
        if "retry" in fields:
            self.retry_s = int(fields["retry"]) / 1000
        if "data" not in fields:
            return
        update = update_of(fields.get("event", "message"), json.loads(fields["data"]))
        if update is not None:
            self._held.append(update)
        if cursor := fields.get("id"):
            held, self._held = self._held, []
            yield from held[:-1]
            yield from (replace(last, cursor=cursor) for last in held[-1:])


def update_of(event: str, told: Any) -> Update | None:
    """Return the update that an event of this name and data is, None for one that is not known yet."""
    if event == "candle":
        return _candle(told)
    if event == "snapshot":
        return Snapshot(Candles.of([told]), told["reason"])
    if event == "watermark":
        return WatermarkMoved(from_ms(told["watermark"]), told["version"])
    return GapChanged(Segment.of(told)) if event == "gap" else None


def _candle(row: Sequence[Any]) -> CandleChanged | CandleRemoved:
    return CandleRemoved(from_ms(row[0])) if row[TRADES_CELL] == 0 else CandleChanged(Candle.of(row))
