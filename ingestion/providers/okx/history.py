"""OKX's REST: trades by id, newest first, of the last three months; candles.

`after=N` brings trades with ids below N, and candles that begin before N; `before=N` candles that begin after it. Each
answer may come from another copy and be older than the one before it, so a page says nothing of the newest trade. Rows
of candles are [start, open, high, low, close, volume, volume, quote volume, confirm]. Errors mostly come with HTTP 200.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

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
from ingestion.providers.okx.stream import trade_of
from ingestion.providers.okx.traits import MAX_CANDLES, MAX_TRADES
from ingestion.providers.reading import (
    DECODE_ERRORS,
    MS_US,
    candle_page,
    id_below,
    no_data,
    page_below,
    printable,
    retry_after,
    time_of,
    trouble_of,
)

BARS = {60: "1m", 3600: "1H", 86_400: "1Dutc"}  # without `utc`, days begin at 16:00
LIMITED, LIMITED_RETRY_S = "50011", 2.0
MISTAKES = ("50014", "50015", "51")  # what the codes begin with that blame the call: parameters, instruments
REGION = "OKX serves some regions from hosts of their own (eea.okx.com, us.okx.com): set OKX_REST_URL and OKX_WS_URL."
REMEDIES = dict.fromkeys((403, 451), f"{REGION} Or use another network or another provider.")
Found = TypeVar("Found")


class _Envelope(msgspec.Struct):
    code: str
    msg: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Candle(msgspec.Struct, array_like=True):
    millis: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    volume_again: Decimal
    quote_volume: Decimal
    confirm: str


_envelope = msgspec.json.Decoder(_Envelope)
_candle = msgspec.json.Decoder(_Candle, strict=False)
ROWS = msgspec.json.Decoder(list[msgspec.Raw])


class OkxHistory:
    """Candles and trades of an instrument."""

    def candles_request(self, asked: CandlesAsked) -> Request:
        """Return the call; neither of its ends is included."""
        ends = {"before": asked.start // MS_US - 1, "after": asked.stop // MS_US}
        query = {"instId": asked.sub, "bar": BARS[asked.resolution], **ends, "limit": MAX_CANDLES}
        return Request(f"/api/v5/market/history-candles?{urlencode(query)}")

    def read_candles(self, asked: CandlesAsked, answer: Answer) -> CandlePage | Trouble:
        """Return the candles; never raises."""
        found = read_data(answer, ROWS)
        return candle_page(found, answer, _candle_of) if isinstance(found, list) else found

    def trades_request(self, asked: TradesAsked, cursor: str | None = None) -> Request:
        """Return the call for the page below the cursor."""
        below = id_below(asked, cursor)
        query = {"instId": asked.sub, "type": 1, "limit": MAX_TRADES} | ({} if below is None else {"after": below})
        return Request(f"/api/v5/market/history-trades?{urlencode(query)}")

    def read_trades(self, asked: TradesAsked, cursor: str | None, answer: Answer) -> TradePage | Trouble:
        """Return the page of trades below the cursor; never raises."""
        found = read_data(answer, ROWS)
        if not isinstance(found, list):
            return found
        return page_below(asked, cursor, answer, (trade_of(asked.sub, raw) for raw in found), tells_newest=False)


def _candle_of(raw: msgspec.Raw) -> CandleRow | None:
    row = _candle.decode(raw)
    start, rest = divmod(row.millis, 1000)
    if rest or row.confirm != "1":  # "0": it still goes on
        return None
    return CandleRow(start, row.open, row.high, row.low, row.close, row.volume, row.quote_volume)


def read_data(answer: Answer, decoder: msgspec.json.Decoder[Found]) -> Found | Trouble:
    """Return what the decoder makes of an answer's data, or what is wrong."""
    try:
        envelope = _envelope.decode(answer.body)
    except DECODE_ERRORS:
        return trouble_of(answer, None, REMEDIES) or no_data(answer)
    reason = printable(f"{envelope.msg or 'no reason given'} ({envelope.code})")
    if envelope.code == LIMITED and answer.status in (200, 429):
        return RateLimited(retry_after(answer.headers, LIMITED_RETRY_S), reason)
    if trouble := trouble_of(answer, reason, REMEDIES):
        return trouble
    if envelope.code.startswith(MISTAKES):
        return Refused(reason, time_of(answer.headers), remedy="See the list of pairs for what OKX trades.")
    if envelope.code != "0":
        return Unavailable(reason)
    try:
        return decoder.decode(envelope.data)
    except DECODE_ERRORS:
        return no_data(answer)
