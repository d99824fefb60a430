"""Binance's REST: aggregated trades from an id on, candles with their number of trades.

A page that begins below what the venue keeps brings later trades instead, without a word: the first id tells. Pages go
on by the last id plus one, never by time: many trades share a millisecond. Ids have no gap, so pages can also go down
from a known trade until one has an older one. Rows of candles are [start, open, high, low, close, volume, end, quote
volume, trades, …]; a quiet bucket has a flat row, a halt has none.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from datastore.timeframes.intervals import SECOND_US
from ingestion.providers.answers import (
    Answer,
    CandlePage,
    CandleRow,
    CandlesAsked,
    RateLimited,
    Refused,
    Request,
    TradePage,
    TradesAsked,
    Trouble,
    Unavailable,
)
from ingestion.providers.binance.stream import AggregateRow, trade_of
from ingestion.providers.binance.traits import MAX_CANDLES, MAX_TRADES
from ingestion.providers.events import Garbage, LastId
from ingestion.providers.reading import (
    DECODE_ERRORS,
    DEFAULT_BAN_S,
    MAX_RETRY_S,
    MS_US,
    STATEMENT_LAG_US,
    candle_page,
    no_data,
    printable,
    retry_after,
    sound_of,
    time_of,
    trouble_of,
)

INTERVALS = {60: "1m", 3600: "1h", 86_400: "1d"}
TRADES_WEIGHT, CANDLES_WEIGHT = 4, 2
MANY_REQUESTS, BUSY = -1003, (-1000, -1001, -1006, -1007, -1008, -1016)
BANNED_UNTIL = re.compile(r"banned until (\d{13})\b")
REMEDIES = {
    451: "Binance does not serve this region from this host: take away the setting of its REST host, so that its host "
    "for market data is asked (data-api.binance.vision), or use Binance.US or another venue.",
    403: "Binance's firewall refuses this address for some minutes: call less often, or use another network.",
    418: "Binance has banned this address for calling on after HTTP 429, from two minutes to three days: stop other "
    "programs that call it from here, and wait.",
}
Found = TypeVar("Found")


class _Said(msgspec.Struct):
    code: int | None = None
    msg: str | None = None


class _Candle(msgspec.Struct, array_like=True):
    start: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    stop: int
    quote_volume: Decimal
    trades: int


_said = msgspec.json.Decoder(_Said)
_rows = msgspec.json.Decoder(list[msgspec.Raw])
_candle = msgspec.json.Decoder(_Candle)
_aggregate = msgspec.json.Decoder(AggregateRow)


class BinanceHistory:
    """Candles and aggregated trades of a symbol."""

    def candles_request(self, asked: CandlesAsked) -> Request:
        """Return the call; its ends are milliseconds, both included."""
        query = {
            "symbol": asked.sub,
            "interval": INTERVALS[asked.resolution],
            "startTime": asked.start // MS_US,
            "endTime": asked.stop // MS_US - 1,
            "limit": MAX_CANDLES,
        }
        return Request(f"/api/v3/klines?{urlencode(query)}", CANDLES_WEIGHT)

    def read_candles(self, asked: CandlesAsked, answer: Answer) -> CandlePage | Trouble:
        """Return the candles; never raises."""
        found = read_json(answer, _rows)
        if not isinstance(found, list):
            return found
        return candle_page(found, answer, _candle_of)

    def trades_request(self, asked: TradesAsked, cursor: str | None = None) -> Request:
        """Return the call for the page from the cursor on."""
        first, _ = _page(asked, cursor)
        begin = {} if first is None else {"fromId": first}
        query = {"symbol": asked.sub, **begin, "limit": MAX_TRADES}
        return Request(f"/api/v3/aggTrades?{urlencode(query)}", TRADES_WEIGHT)

    def read_trades(self, asked: TradesAsked, cursor: str | None, answer: Answer) -> TradePage | Trouble:
        """Return the page of trades from the cursor on; never raises."""
        found = read_json(answer, _rows)
        if not isinstance(found, list):
            return found
        read = [_read(asked.sub, raw) for raw in found]
        begin, upto = _page(asked, cursor)
        first = min((row.id for row in read if isinstance(row, AggregateRow)), default=0) if begin is None else begin
        rows = {row.id: row for row in read if isinstance(row, AggregateRow) and row.id >= first}
        trades = [
            row if isinstance(row, Garbage) else trade_of(asked.sub, row)
            for row in read
            if not (isinstance(row, AggregateRow) and row.is_marker)
        ]
        sent, garbage = sound_of(trades)
        if read and not rows:
            return no_data(answer) if garbage else Unavailable("the page does not begin where it was asked to")
        at, is_last, end = time_of(answer.headers), len(found) < MAX_TRADES, max(rows, default=first - 1)

        # The last trade that the venue has if this page ends its list, as far as the page shows it.
        if rows:
            last = None if rows[end].is_marker else rows[end].last
        else:
            last = asked.after.last if asked.after and cursor is None else None
        says_newest = is_last and at is not None and last and not garbage and not asked.reaches_back
        wanted = tuple(sent[id] for id in sorted(sent) if first <= id and (upto is None or id < upto))
        floor = bool(rows) and min(rows) > first
        if asked.reaches_back:
            reached = any(trade.ts < (asked.since or 0) for trade in wanted)
            floor = not reached and (floor or not read) and not (first == 0 and wanted)
            following = None if reached or floor or first == 0 else str(first)
        else:
            following = None if is_last or (upto is not None and end >= upto - 1) else str(end + 1)
        return TradePage(
            trades=wanted,
            garbage=garbage,
            cursor=following,
            at=at,
            newest=LastId(asked.sub, last or 0, (at or 0) - STATEMENT_LAG_US) if says_newest else None,
            floor=floor and not garbage,
        )


def _candle_of(raw: msgspec.Raw) -> CandleRow | None:
    row = _candle.decode(raw)
    start, rest = divmod(row.start, 1000)
    prices = (row.open, row.high, row.low, row.close)
    return None if rest else CandleRow(start, *prices, row.volume, row.quote_volume, row.trades)


def read_json(answer: Answer, decoder: msgspec.json.Decoder[Found]) -> Found | Trouble:
    """Return what the decoder makes of an answer, or what is wrong."""
    try:
        said = _said.decode(answer.body)
    except DECODE_ERRORS:
        said = _Said()  # a list of rows, or no JSON at all
    if said.code is not None and said.code < 0:
        return _error(answer, said.code, said.msg or "")
    if trouble := trouble_of(answer, said.msg, REMEDIES):
        return trouble
    try:
        return decoder.decode(answer.body)
    except DECODE_ERRORS:
        return no_data(answer, said.msg)


def _error(answer: Answer, code: int, message: str) -> Trouble:
    """Return what Binance's own error means: its codes say more than the status."""
    reason = printable(f"{message} ({code})")
    if code == MANY_REQUESTS or answer.status in (418, 429):
        until, at = BANNED_UNTIL.search(message), time_of(answer.headers)
        banned = answer.status == 418 or until is not None
        wait = retry_after(answer.headers, DEFAULT_BAN_S if banned else 60.0)
        if until and at is not None:
            wait = min(max(wait, (int(until[1]) * MS_US - at) / SECOND_US), MAX_RETRY_S)
        return RateLimited(wait, reason, banned, REMEDIES[418] if banned else "")
    if code in BUSY or answer.status >= 500:
        return Unavailable(reason)
    if trouble := trouble_of(answer, reason, REMEDIES):
        return trouble
    return Refused(reason, time_of(answer.headers))


def _page(asked: TradesAsked, cursor: str | None) -> tuple[int | None, int | None]:
    """Return the first id of a page, and the first after the wanted ones; None: of the newest page, and no end."""
    upto = asked.before.id if asked.before else None
    if asked.reaches_back:
        upto = int(cursor) if cursor else upto
        return None if upto is None else max(0, upto - MAX_TRADES), upto
    return int(cursor) if cursor else asked.after.id + 1 if asked.after else 0, upto


def _read(sub: str, raw: msgspec.Raw) -> AggregateRow | Garbage:
    try:
        return _aggregate.decode(raw)
    except DECODE_ERRORS as exc:
        return Garbage(str(exc), sub)
