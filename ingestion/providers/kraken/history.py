"""Kraken's REST: trades from a time on, with ids; the newest 720 candles.

`since` is in nanoseconds and brings trades of that very time again; times of trades are JSON numbers with less than a
microsecond's resolution, `last` is the last trade's exact time. So pages overlap on purpose, and ids join them. Errors
come with HTTP 200. The key of the rows is Kraken's canonical name of the pair, not the one that was asked for.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from datastore.timeframes.intervals import SECOND_US
from ingestion.providers.answers import (
    Answer,
    Blocked,
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
from ingestion.providers.events import Garbage, LastId, TradeSeen
from ingestion.providers.kraken.names import rest_name
from ingestion.providers.kraken.traits import MAX_TRADES
from ingestion.providers.reading import (
    DECODE_ERRORS,
    STATEMENT_LAG_US,
    candle_page,
    counted_trade,
    micros_of_seconds,
    no_data,
    printable,
    sound_of,
    time_of,
    trouble_of,
)

SIDES = {"b": 1, "s": -1}  # the taker's
LIMITED_RETRY_S, LOCKOUT_RETRY_S = 5.0, 900.0
US_NS = 1000  # nanoseconds in a microsecond
Found = TypeVar("Found")


class _Envelope(msgspec.Struct):
    error: list[str] = []
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Trade(msgspec.Struct, array_like=True):
    price: Decimal
    amount: Decimal
    seconds: Decimal
    side: str
    kind: str
    misc: str
    id: int


class _Candle(msgspec.Struct, array_like=True):
    time: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    vwap: Decimal
    volume: Decimal
    trades: int


_envelope = msgspec.json.Decoder(_Envelope)
_by_pair = msgspec.json.Decoder(dict[str, msgspec.Raw])
_rows = msgspec.json.Decoder(list[msgspec.Raw])
_last = msgspec.json.Decoder(str | int)
_trade = msgspec.json.Decoder(_Trade)
_candle = msgspec.json.Decoder(_Candle)


class KrakenHistory:
    """Candles and trades of a pair."""

    def candles_request(self, asked: CandlesAsked) -> Request:
        """Return the call; it brings no more than the newest 720, whatever it asks for."""
        since = asked.start // SECOND_US - asked.resolution  # the row of that time itself may be left out
        query = {"pair": rest_name(asked.sub), "interval": asked.resolution // 60, "since": max(since, 0)}
        return Request(f"/0/public/OHLC?{urlencode(query)}")

    def read_candles(self, asked: CandlesAsked, answer: Answer) -> CandlePage | Trouble:
        """Return the candles; never raises."""
        found = _listed(answer)
        if not isinstance(found, tuple):
            return found
        return candle_page(found[0], answer, _candle_of)

    def trades_request(self, asked: TradesAsked, cursor: str | None = None) -> Request:
        """Return the call for the page from the cursor's time on."""
        since, _ = _from(asked, cursor)
        query = {"pair": rest_name(asked.sub), "since": since, "count": MAX_TRADES}
        return Request(f"/0/public/Trades?{urlencode(query)}")

    def read_trades(self, asked: TradesAsked, cursor: str | None, answer: Answer) -> TradePage | Trouble:
        """Return the page's trades that are new; never raises."""
        found = _listed(answer)
        if not isinstance(found, tuple):
            return found
        sent, garbage = sound_of(_trade_of(asked.sub, raw) for raw in found[0])
        if garbage and not sent:
            return no_data(answer)
        since, known = _from(asked, cursor)
        newest = max(sent, default=known)
        wanted = [id for id in sorted(sent) if id > known and (asked.before is None or id < asked.before.id)]
        at, is_last = time_of(answer.headers), len(found[0]) < MAX_TRADES
        reached = asked.before is not None and newest >= asked.before.id - 1
        # An empty page proves nothing: the last trade that is known must come again.
        says_newest = is_last and bool(sent) and newest >= known and not garbage and at is not None
        return TradePage(
            trades=tuple(sent[id] for id in wanted),
            garbage=garbage,
            cursor=None if is_last or reached else f"{_next_since(since, newest > known, sent, found[1])}:{newest}",
            at=at,
            newest=LastId(asked.sub, newest, (at or 0) - STATEMENT_LAG_US) if says_newest else None,
            floor=cursor is None and not asked.reaches_back and bool(sent) and min(sent) > known + 1 and not garbage,
        )


def _candle_of(raw: msgspec.Raw) -> CandleRow:
    row = _candle.decode(raw)
    return CandleRow(row.time, row.open, row.high, row.low, row.close, row.volume, None, row.trades)


def _from(asked: TradesAsked, cursor: str | None) -> tuple[int, int]:
    """Return the nanoseconds that a page begins with, and the last id that is known by then."""
    if cursor:
        begin, _, newest = cursor.partition(":")
        return int(begin), int(newest)
    # Our time of the trade may be its exact one rounded up.
    begun, known = (asked.after.ts, asked.after.id) if asked.after else (asked.since or 0, 0)
    return max(begun - 1, 0) * US_NS, known


def _next_since(since: int, went_on: bool, sent: dict[int, TradeSeen], last: str | int | None) -> int:
    """Return what the next page begins with: just before the last trade, so that others of its time are not left out.

    Pages stall where more trades share one time than a page holds: then what lies next to it; the ids show what is
    left out.
    """
    text = str(last)
    exact = int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else 0
    found = exact - 1 if exact else (sent[max(sent)].ts - 1) * US_NS
    return found if went_on and found > since else since + 1


def read_result(answer: Answer, decoder: msgspec.json.Decoder[Found]) -> Found | Trouble:
    """Return what the decoder makes of an answer's result, or what is wrong."""
    try:
        envelope = _envelope.decode(answer.body)
    except DECODE_ERRORS:
        return trouble_of(answer, None, {}) or no_data(answer)
    errors = [error for error in envelope.error if error.startswith("E")]  # W is a warning
    if errors:
        return _error(answer, errors[0])
    if trouble := trouble_of(answer, None, {}):
        return trouble
    try:
        return decoder.decode(envelope.result) if envelope.result is not msgspec.UNSET else no_data(answer)
    except DECODE_ERRORS:
        return no_data(answer)


def _error(answer: Answer, error: str) -> Trouble:
    """Return what one of Kraken's errors means, which come with HTTP 200: severity and kind, a colon, words."""
    reason, words = printable(error), error.lower()
    if "lockout" in words:
        remedy = "Kraken has locked this address out for some minutes: stop other programs that call it from here."
        return RateLimited(LOCKOUT_RETRY_S, reason, True, remedy)
    if "rate limit" in words or "too many requests" in words or "throttled" in words:
        return RateLimited(LIMITED_RETRY_S, reason)
    if "permission denied" in words:
        return Blocked(reason, "Kraken refuses this address: use another network, or another provider.")
    if error.startswith(("EQuery:", "EGeneral:Invalid")):
        return Refused(reason, time_of(answer.headers), remedy="See the list of pairs for what Kraken trades.")
    return Unavailable(reason)


def _listed(answer: Answer) -> tuple[list[msgspec.Raw], str | int | None] | Trouble:
    """Return the rows of the one pair in an answer and its `last`, or what is wrong."""
    found = read_result(answer, _by_pair)
    if not isinstance(found, dict):
        return found
    pairs = [raw for name, raw in found.items() if name != "last"]
    if len(pairs) != 1:
        return no_data(answer)
    try:
        return _rows.decode(pairs[0]), _last.decode(found["last"]) if "last" in found else None
    except DECODE_ERRORS:
        return no_data(answer)


def _trade_of(sub: str, raw: msgspec.Raw) -> TradeSeen | Garbage:
    try:
        row = _trade.decode(raw)
    except DECODE_ERRORS as exc:
        return Garbage(str(exc), sub)
    return counted_trade(sub, row.id, micros_of_seconds(row.seconds), row.price, row.amount, SIDES.get(row.side))
