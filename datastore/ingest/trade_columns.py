"""Live trades as columns: which trades the database cannot hold, and the others as arguments of one statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation

from streaming.bounds import MAX_BIGINT, MAX_STORED, MAX_TIME_US, MIN_STORED, MIN_TIME_US
from streaming.records import Trade
from streaming.refusals import Refusal, RefusalCode

ZERO = Decimal(0)


def fault_of(trade: Trade) -> Refusal | None:
    """Return why the database could not hold this trade, None if it can."""
    try:
        if not MIN_STORED < trade.price < MAX_STORED:
            return _number("price out of range")
        if not (trade.amount == ZERO or MIN_STORED < trade.amount < MAX_STORED):
            return _number("amount out of range")
    except InvalidOperation:
        return _number("not a number")

    if not (MIN_TIME_US < trade.ts < MAX_TIME_US and MIN_TIME_US < trade.received_at < MAX_TIME_US):
        return _number("time out of range")
    if trade.seq is not None and not abs(trade.seq) <= MAX_BIGINT:
        return _number("sequence number out of range")
    return Refusal(RefusalCode.UNREADABLE, "id with a zero byte") if "\0" in trade.id else None


def _number(detail: str) -> Refusal:
    return Refusal(RefusalCode.NUMBER, detail)


def all_valid(trades: Sequence[Trade]) -> bool:
    """Return whether fault_of() accepts every trade; checks the extremes of each column instead of each trade."""
    if not trades:
        return True
    times = [trade.ts for trade in trades] + [trade.received_at for trade in trades]
    seqs = [trade.seq for trade in trades if trade.seq is not None] or [0]
    try:
        sizes = [trade.price for trade in trades] + [trade.amount for trade in trades if trade.amount != ZERO]
        sizes_fit = min(sizes) > MIN_STORED and max(sizes) < MAX_STORED
    except InvalidOperation:
        return False
    times_fit = min(times) > MIN_TIME_US and max(times) < MAX_TIME_US
    seqs_fit = min(seqs) >= -MAX_BIGINT and max(seqs) <= MAX_BIGINT
    return sizes_fit and times_fit and seqs_fit and "\0" not in "".join([trade.id for trade in trades])


def columns_of(markets: Sequence[str], trades: Sequence[Trade]) -> list[str]:
    """Return these trades as array literals, the arguments of the SQL function ingest: the server reads these fastest.

    markets: the market of each trade, as the number that the caller gave it.
    """
    return [
        _array(markets),
        _array([str(trade.ts) for trade in trades]),
        _numbers([trade.seq for trade in trades]),
        _array([str(trade.side) for trade in trades]),
        quoted_array([trade.id for trade in trades]),
        _array([str(trade.price) for trade in trades]),
        _array([str(trade.amount) for trade in trades]),
        _array([str(trade.received_at) for trade in trades]),
        _numbers([trade.first for trade in trades]),
        _numbers([trade.last for trade in trades]),
    ]


def _numbers(numbers: Iterable[int | None]) -> str:
    return _array(["NULL" if number is None else str(number) for number in numbers])


def _array(texts: Iterable[str]) -> str:
    return f"{{{','.join(texts)}}}"


def quoted_array(texts: Sequence[str]) -> str:
    """Return an array literal of arbitrary texts: quoted, so that commas, braces and NULL have no special meaning."""
    if not texts:
        return "{}"
    joined = '","'.join(texts)
    # Escaping is rarely needed, and searching once is cheaper than replacing in each text.
    if joined.count('"') != 2 * (len(texts) - 1) or "\\" in joined:
        joined = '","'.join(text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return f'{{"{joined}"}}'
