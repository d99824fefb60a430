"""Events as the text of Server-Sent Events (WHATWG HTML, "Server-sent events"). Pure.

Every block of bytes given to a connection ends with a complete event, so a reader only ever sees whole events.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from datastore.sse.cursor import Cursor, ReadTime
from datastore.sse.delta import Delta, Event, Gap, Row, events_of

HEARTBEAT = b": still here\n\n"


@dataclass(frozen=True, slots=True)
class Block:
    """A delta ready to be sent: as a whole, and in parts, of which a slow reader gets the newest."""

    read_at: ReadTime
    upto: Cursor
    whole: bytes
    rows: Mapping[int, bytes] = field(default_factory=dict)  # by open time in ms
    gaps: Mapping[tuple[int, int], bytes] = field(default_factory=dict)  # by start and stop in ms
    candles: Mapping[int, str] = field(default_factory=dict)  # JSON rows by open time in ms; a snapshot's newest only


def block_of(delta: Delta) -> Block:
    """Return a delta as bytes."""
    return Block(
        read_at=delta.read_at,
        upto=delta.upto,
        whole=b"".join(text_of(event) for event in events_of(delta)),
        rows={row.open: _without_id(row) for row in delta.rows},
        gaps={(gap.start, gap.stop): _without_id(gap) for gap in delta.gaps},
        candles={row.open: row.text for row in delta.rows},
    )


def snapshot_block(read_at: ReadTime, upto: Cursor, body: bytes, newest: str = "") -> Block:
    """Return a snapshot as bytes; body is its JSON, newest its newest row, empty if there is none."""
    data = body.replace(b"\n", b" ")  # one line: a second would need its own `data:`
    whole = b"id: %b\n%b" % (upto.text.encode(), _event("snapshot", data))
    return Block(read_at, upto, whole, candles=dict(zip(open_times([newest]), [newest], strict=True)) if newest else {})


def text_of(event: Event) -> bytes:
    """Return one event as bytes."""
    text = _without_id(event.what)
    return text if event.id is None else b"id: %b\n%b" % (event.id.text.encode(), text)


def with_watermark(parts: Iterable[bytes], upto: Cursor) -> bytes:
    """Return events followed by the watermark, which carries the id of the whole."""
    return b"".join((*parts, text_of(Event(upto, upto))))


def greeting(retry_ms: int) -> bytes:
    """Return the first bytes of a stream: how long a reader waits before it reconnects."""
    return b"retry: %d\n\n" % retry_ms


def tickers_event(tickers: Iterable[bytes]) -> bytes:
    """Return tickers, each as JSON, as one event."""
    return _event("tickers", b"[%b]" % b",".join(tickers))


def part_event(name: str, data: object) -> bytes:
    """Return an event for one of our own pages; data: anything that JSON can say."""
    return _event(name, msgspec.json.encode(data))


def tombstone(open_ms: int, source: str, closed: bool, revision: int) -> str:
    """Return the JSON row of a bucket that no longer holds a trade."""
    flag = "true" if closed else "false"
    return f'[{open_ms},null,null,null,null,"0","0",0,"{source}",{flag},{revision}]'


def open_times(rows: Sequence[str]) -> list[int]:
    """Return the open times in ms of JSON rows."""
    return [int(row[1 : row.index(",")]) for row in rows]


def _without_id(what: Row | Gap | Cursor) -> bytes:
    if isinstance(what, Row):
        return _event("candle", what.text.encode())
    if isinstance(what, Gap):
        return _event("gap", what.text.encode())
    watermark = "null" if what.watermark is None else what.watermark
    return _event("watermark", f'{{"watermark":{watermark},"version":{what.version}}}'.encode())


def _event(name: str, data: bytes) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)
