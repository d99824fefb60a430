"""Trades on their way into the database: what cannot be stored, and the rest as columns of one statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation

from streaming.bounds import MAX_STORED, MIN_STORED
from streaming.records import Trade

ZERO = Decimal(0)
# Every time of a trade lies in here; a time in another unit does not.
EARLIEST, LATEST = 0, 4_102_444_800_000_000  # 1970 and 2100, microseconds
BIGINT_LIMIT = 2**63


def fault_of(trade: Trade) -> str | None:
    """Return why the database could not hold this trade, None for a sound one."""
    try:
        if not MIN_STORED < trade.price < MAX_STORED:
            return "price out of range"
        if not (trade.amount == ZERO or MIN_STORED < trade.amount < MAX_STORED):
            return "amount out of range"
    except InvalidOperation:
        return "not a number"
    if not (EARLIEST < trade.ts < LATEST and EARLIEST < trade.received_at < LATEST):
        return "time out of range"
    if trade.seq is not None and not -BIGINT_LIMIT <= trade.seq < BIGINT_LIMIT:
        return "sequence number out of range"
    return "id with a zero byte" if "\0" in trade.id else None


def all_valid(trades: Sequence[Trade]) -> bool:
    """Tell whether fault_of finds nothing in any of them: one look at the extremes instead of one at each trade."""
    if not trades:
        return True
    times = [trade.ts for trade in trades] + [trade.received_at for trade in trades]
    seqs = [trade.seq for trade in trades if trade.seq is not None] or [0]
    try:
        sizes = [trade.price for trade in trades] + [trade.amount for trade in trades if trade.amount != ZERO]
        in_range = min(sizes) > MIN_STORED and max(sizes) < MAX_STORED
    except InvalidOperation:
        return False
    in_time = min(times) > EARLIEST and max(times) < LATEST
    return (
        in_range and in_time and min(seqs) >= -BIGINT_LIMIT and max(seqs) < BIGINT_LIMIT and "\0" not in "".join(t.id for t in trades)
    )


def columns_of(markets: Sequence[str], trades: Sequence[Trade]) -> list[str]:
    """Return trades as array literals, the arguments of the SQL function ingest: server text reads fastest."""
    return [
        _array(markets),
        _array([str(trade.ts) for trade in trades]),
        _array(["NULL" if trade.seq is None else str(trade.seq) for trade in trades]),
        _array([str(trade.side) for trade in trades]),
        _quoted([trade.id for trade in trades]),
        _array([str(trade.price) for trade in trades]),
        _array([str(trade.amount) for trade in trades]),
        _array([str(trade.received_at) for trade in trades]),
    ]


def _array(texts: Iterable[str]) -> str:
    return f"{{{','.join(texts)}}}"


def _quoted(texts: Sequence[str]) -> str:
    """Return an array of arbitrary texts: all quoted, so that commas, braces and the word NULL are plain letters."""
    joined = '","'.join(texts)
    if joined.count('"') != 2 * (len(texts) - 1) or "\\" in joined:
        joined = '","'.join(text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return f'{{"{joined}"}}'
