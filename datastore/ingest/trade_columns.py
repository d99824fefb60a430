"""Live trades as columns: which trades the database cannot hold, and the others as arguments of one statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation

from streaming.records import Trade

# Prices and amounts lie between these, exclusive; an amount may also be zero.
LOWER_BOUND, UPPER_BOUND = Decimal("1e-24"), Decimal("1e24")
ZERO = Decimal(0)
# Every time of a trade lies between these, in microseconds: 1970 and 2100. A time in another unit does not.
EARLIEST, LATEST = 0, 4_102_444_800_000_000
BIGINT_LIMIT = 2**63


def fault_of(trade: Trade) -> str | None:
    """Return why the database could not hold this trade, None if it can."""
    try:
        if not LOWER_BOUND < trade.price < UPPER_BOUND:
            return "price out of range"
        if not (trade.amount == ZERO or LOWER_BOUND < trade.amount < UPPER_BOUND):
            return "amount out of range"
    except InvalidOperation:
        return "not a number"

    if not (EARLIEST < trade.ts < LATEST and EARLIEST < trade.received_at < LATEST):
        return "time out of range"
    if trade.seq is not None and not -BIGINT_LIMIT <= trade.seq < BIGINT_LIMIT:
        return "sequence number out of range"
    return "id with a zero byte" if "\0" in trade.id else None


def all_valid(trades: Sequence[Trade]) -> bool:
    """Return whether fault_of() accepts every trade; checks the extremes of each column instead of each trade."""
    if not trades:
        return True
    times = [trade.ts for trade in trades] + [trade.received_at for trade in trades]
    seqs = [trade.seq for trade in trades if trade.seq is not None] or [0]
    try:
        sizes = [trade.price for trade in trades] + [trade.amount for trade in trades if trade.amount != ZERO]
        sizes_fit = min(sizes) > LOWER_BOUND and max(sizes) < UPPER_BOUND
    except InvalidOperation:
        return False
    times_fit = min(times) > EARLIEST and max(times) < LATEST
    seqs_fit = min(seqs) >= -BIGINT_LIMIT and max(seqs) < BIGINT_LIMIT
    return sizes_fit and times_fit and seqs_fit and "\0" not in "".join([trade.id for trade in trades])


def columns_of(markets: Sequence[str], trades: Sequence[Trade]) -> list[str]:
    """Return these trades as array literals, the arguments of the SQL function ingest: the server reads these fastest.

    markets: the market of each trade, as the number that the caller gave it.
    """
    return [
        _array(markets),
        _array([str(trade.ts) for trade in trades]),
        _array(["NULL" if trade.seq is None else str(trade.seq) for trade in trades]),
        _array([str(trade.side) for trade in trades]),
        _quoted_array([trade.id for trade in trades]),
        _array([str(trade.price) for trade in trades]),
        _array([str(trade.amount) for trade in trades]),
        _array([str(trade.received_at) for trade in trades]),
    ]


def _array(texts: Iterable[str]) -> str:
    return f"{{{','.join(texts)}}}"


def _quoted_array(texts: Sequence[str]) -> str:
    """Return an array literal of arbitrary texts: quoted, so that commas, braces and NULL have no special meaning."""
    joined = '","'.join(texts)
    # Escaping is rarely needed, and searching once is cheaper than replacing in each text.
    if joined.count('"') != 2 * (len(texts) - 1) or "\\" in joined:
        joined = '","'.join(text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return f'{{"{joined}"}}'
