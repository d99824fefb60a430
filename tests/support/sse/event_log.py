"""What a reader of a stream keeps, as a careful client would write it: whole events, one row per candle, one id."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

TRADES, SOURCE, CLOSED, REVISION = 7, 8, 9, 10  # cells of a candle


@dataclass
class StreamEvent:
    """One event as it was read."""

    name: str
    data: Any
    id: str | None


class Reader:
    """Takes bytes as they come and gives whole events (WHATWG HTML, "Interpreting an event stream")."""

    def __init__(self) -> None:
        self._rest = b""
        self.heartbeats = 0
        self.retry: int | None = None

    def feed(self, chunk: bytes) -> Iterator[StreamEvent]:
        *blocks, self._rest = (self._rest + chunk).split(b"\n\n")
        for block in blocks:
            if (told := self._told(block.decode())) is not None:
                yield told

    def _told(self, block: str) -> StreamEvent | None:
        fields: dict[str, str] = {}
        for line in block.splitlines():
            name, _, value = line.partition(":")
            assert name not in fields, f"{name} twice in {block!r}"
            fields[name] = value.removeprefix(" ")
        self.heartbeats += "" in fields
        self.retry = int(fields["retry"]) if "retry" in fields else self.retry
        if "event" not in fields:
            return None
        return StreamEvent(fields["event"], json.loads(fields["data"]), fields.get("id"))


@dataclass
class ClientSeries:
    """The rows of one series by open time, up to the last id; since: what lies before was never shown."""

    rows: dict[int, list[Any]] = field(default_factory=dict)
    since: int = 0
    watermark: int | None = None
    cursor: str | None = None
    snapshots: list[str | None] = field(default_factory=list)  # why each was shown
    gaps: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of_answer(cls, answer: dict[str, Any]) -> ClientSeries:
        """Begin with an answer of GET candles."""
        series = cls(cursor=answer["cursor"])
        series._show(answer)
        return series

    def take(self, told: StreamEvent) -> None:
        """Follow one event."""
        if told.name == "candle":
            if told.data[TRADES] == 0:
                self.rows.pop(told.data[0], None)
            elif told.data[0] >= self.since:
                self.rows[told.data[0]] = told.data
        elif told.name == "snapshot":
            self.snapshots.append(told.data["reason"])
            self._show(told.data)
        elif told.name == "watermark":
            watermark = told.data["watermark"]
            assert self.watermark is None or (watermark is not None and watermark >= self.watermark), (
                "a watermark went back"
            )
            self.watermark = watermark
        else:
            assert told.name == "gap", told.name
            self.gaps.append(told.data)
        self.cursor = told.id or self.cursor

    def _show(self, answer: dict[str, Any]) -> None:
        self.rows = {row[0]: row for row in answer["candles"]}
        self.since = answer["coverage"][0]["from"]
        self.watermark = answer["watermark"]
