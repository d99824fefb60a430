"""The index of trades on plain PostgreSQL, packed again when it has become loose.

Each market's trades are added at its own place amid those of all markets, so pages are split in the middle and stay
half empty. Built again it takes little more than half of that, for many trades share a time.
"""

from __future__ import annotations

from datastore.db.index_builds import build_index, note_on_index
from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement

INDEX = "tick_market_ts"
MIN_ROWS = 100_000  # of fewer nothing would be saved
LOOSE = 1.1  # times the bytes for each trade right after it was packed


def pack_trade_index() -> tuple[int, int] | None:
    """Build the index again beside writers if that saves space; return its bytes before and after, None if it was not
    worth it. It reads all trades, and needs as much space again as the new index takes.
    """
    before, rows, note = _size()
    packed = float(note.rpartition(" ")[2]) if note else 0.0  # bytes for each trade
    if rows < MIN_ROWS or before <= LOOSE * packed * rows:
        return None
    build_index("tick", f"reindex index concurrently {INDEX}")
    after, rows, _ = _size()
    note_on_index(INDEX, f"bytes for each trade when it was packed: {after / max(rows, 1):.2f}")
    return before, after


def _size() -> tuple[int, int, str | None]:
    """Return the bytes of the index, how many trades there are as last counted, and the note of its last packing."""
    rows: list[tuple[int, int, str | None]] = fetch_all(statement("indexes", "size"), {"index": INDEX})
    return rows[0] if rows else (0, 0, None)
