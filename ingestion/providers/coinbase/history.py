"""Coinbase Exchange's REST: trades by id, candles.

Trades come newest first; `after=N` brings those with ids below N. The cursor is a trade's id, and there is no asking by
time: pages go down until one has an older trade. Rows of candles are [time, low, high, open, close, volume] as JSON
numbers; buckets without trades have none.
"""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from urllib.parse import quote, urlencode

import msgspec

from datastore.timeframes.intervals import SECOND_US, moment
from ingestion.providers.answers import (
    Answer,
    CandlePage,
    CandleRow,
    CandlesAsked,
    Request,
    TradePage,
    TradesAsked,
    Trouble,
)
from ingestion.providers.coinbase.stream import MatchRow, trade_of
from ingestion.providers.coinbase.traits import MAX_TRADES
from ingestion.providers.events import Garbage, TradeSeen
from ingestion.providers.reading import (
    DECODE_ERRORS,
    candle_page,
    id_below,
    no_data,
    page_below,
    trouble_of,
)


class _Message(msgspec.Struct):
    message: str | None = None


class _Candle(msgspec.Struct, array_like=True):
    time: int
    low: Decimal
    high: Decimal
    open: Decimal
    close: Decimal
    volume: Decimal


_message = msgspec.json.Decoder(_Message)
_rows = msgspec.json.Decoder(list[msgspec.Raw])
_candle = msgspec.json.Decoder(_Candle)
_match = msgspec.json.Decoder(MatchRow)


class CoinbaseHistory:
    """Candles and trades of a product."""

    def candles_request(self, asked: CandlesAsked) -> Request:
        """Return the call; both of its ends are starts of buckets."""
        last = asked.stop - asked.resolution * SECOND_US
        query = {
            "granularity": asked.resolution,
            "start": moment(asked.start).isoformat(),
            "end": moment(last).isoformat(),
        }
        return Request(f"/products/{quote(asked.sub, safe='')}/candles?{urlencode(query)}")

    def read_candles(self, asked: CandlesAsked, answer: Answer) -> CandlePage | Trouble:
        """Return the candles; never raises."""
        found = rows_of(answer)
        if not isinstance(found, list):
            return found
        return candle_page(found, answer, _candle_of)

    def trades_request(self, asked: TradesAsked, cursor: str | None = None) -> Request:
        """Return the call for the page below the cursor."""
        below = id_below(asked, cursor)
        query = {"limit": MAX_TRADES} | ({} if below is None else {"after": below})
        return Request(f"/products/{quote(asked.sub, safe='')}/trades?{urlencode(query)}")

    def read_trades(self, asked: TradesAsked, cursor: str | None, answer: Answer) -> TradePage | Trouble:
        """Return the page of trades below the cursor; never raises."""
        found = rows_of(answer)
        if not isinstance(found, list):
            return found
        return page_below(asked, cursor, answer, (_read(asked.sub, raw) for raw in found))


def _candle_of(raw: msgspec.Raw) -> CandleRow:
    row = _candle.decode(raw)
    return CandleRow(row.time, row.open, row.high, row.low, row.close, row.volume, None)


def rows_of(answer: Answer) -> list[msgspec.Raw] | Trouble:
    """Return the rows of an answer's list, or what is wrong."""
    said = None
    with suppress(*DECODE_ERRORS):  # a list of rows, or no JSON at all
        said = _message.decode(answer.body).message
    if trouble := trouble_of(answer, said, {}):
        return trouble
    try:
        return _rows.decode(answer.body)
    except DECODE_ERRORS:
        return no_data(answer, said)


def _read(sub: str, raw: msgspec.Raw) -> TradeSeen | Garbage:
    try:
        return trade_of(sub, _match.decode(raw))
    except DECODE_ERRORS as exc:
        return Garbage(str(exc), sub)
