"""Events as the text of Server-Sent Events (WHATWG HTML, "Server-sent events"). Pure.

Every block that is handed to a connection ends an event, so that a reader sees whole events only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from datastore.sse.cursor import Cursor, ReadTime
from datastore.sse.delta import Delta, Event, Gap, Row, events_of

HEARTBEAT = b": still here\n\n"


@dataclass(frozen=True, slots=True)
class Block:
    """A delta ready to be sent: whole, and in the parts of which a slow reader gets the newest."""

    read_at: ReadTime
    upto: Cursor
    whole: bytes
    events: int
    rows: Mapping[int, bytes] = field(default_factory=dict)
    gaps: Mapping[tuple[int, int], bytes] = field(default_factory=dict)


def block_of(delta: Delta) -> Block:
    """Return a delta as bytes."""
    events = events_of(delta)
    return Block(
        read_at=delta.read_at,
        upto=delta.upto,
        whole=b"".join(text_of(event) for event in events),
        events=len(events),
        rows={row.open: _plain(row) for row in delta.rows},
        gaps={(hole.start, hole.stop): _plain(hole) for hole in delta.gaps},
    )


def snapshot_block(moment: ReadTime, upto: Cursor, body: bytes) -> Block:
    """Return a snapshot as bytes; body is its JSON, one line."""
    return Block(moment, upto, _event("snapshot", body.replace(b"\n", b" "), upto.text), 1)


def text_of(event: Event) -> bytes:
    """Return one event as bytes."""
    plain = _plain(event.what)
    return plain if event.id is None else b"id: " + event.id.text.encode() + b"\n" + plain


def with_watermark(parts: Iterable[bytes], upto: Cursor) -> bytes:
    """Return events and, behind them, the watermark with the id of the whole."""
    return b"".join((*parts, text_of(Event(upto, upto))))


def greeting(retry: int) -> bytes:
    """Return the first bytes of a stream: after how many ms to come back, should the connection be lost."""
    return b"retry: %d\n\n" % retry


def tombstone(open_ms: int, source: str, closed: bool, revision: int) -> str:
    """Return the row of a bucket that holds no trade any more."""
    flag = "true" if closed else "false"
    return f'[{open_ms},null,null,null,null,"0","0",0,"{source}",{flag},{revision}]'


def open_times(rows: Sequence[str]) -> list[int]:
    """Return the open times in ms of rows."""
    return [int(row[1 : row.index(",")]) for row in rows]


def _plain(what: Row | Gap | Cursor) -> bytes:
    if isinstance(what, Row):
        return _event("candle", what.text.encode())
    if isinstance(what, Gap):
        return _event("gap", what.text.encode())
    watermark = "null" if what.watermark is None else what.watermark
    return _event("watermark", f'{{"watermark":{watermark},"version":{what.version}}}'.encode())


def _event(name: str, data: bytes, id: str | None = None) -> bytes:
    said = b"" if id is None else b"id: " + id.encode() + b"\n"
    return said + b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"
