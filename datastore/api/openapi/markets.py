"""The answers about markets: what is stored, how fresh it is, what was traded."""

from __future__ import annotations

from datastore.api.openapi.basics import (
    COUNT,
    CURSOR,
    DECIMAL,
    MARKET,
    NEXT,
    PROVIDER,
    TEXT,
    TIME,
    YES_OR_NO,
    Schema,
    choice,
    list_of,
    named,
    or_null,
    record,
    row,
)
from datastore.api.responses.trade_files import COLUMNS
from datastore.reference.traits import Proof

FEED: dict[str, Schema] = {
    "feed": {**choice(("live", "stale", "none")), "description": "none: nothing was ever proven."},
    "live_until": or_null({**TIME, "description": "The newest proven time."}),
    "freshness": or_null({"type": "integer", "description": "Milliseconds since then."}),
}
WATERMARK = or_null({**TIME, "description": "Up to here the feed is known."})
FOLLOWED: Schema = {**YES_OR_NO, "description": "Always on: its feed is taken and its gaps are repaired."}
OF_MARKET: dict[str, Schema] = {
    "market": MARKET,
    "exchange": TEXT,
    "base": TEXT,
    "quote": TEXT,
    "followed": FOLLOWED,
    "version": {**COUNT, "description": "Rises with every change of the market's data."},
    "watermark": WATERMARK,
    "first": or_null({**TIME, "description": "The oldest bucket with data."}),
    "newest": or_null({**TIME, "description": "The newest minute that traded."}),
    "last_price": or_null(DECIMAL),
    **FEED,
    "proof": or_null({**choice(Proof), "description": "What the newest proven time rests on."}),
    "refusal": or_null({**TEXT, "description": "Why the provider refuses its feed, which is tried again."}),
    "refused_since": or_null(TIME),
}
OF_TRADE: dict[str, Schema] = {
    "time": TIME,
    "time_us": {"type": "integer", "description": "The same time in microseconds."},
    "trade_id": TEXT,
    "seq": or_null({"type": "integer", "description": "The venue's number."}),
    "side": or_null({**choice(("buy", "sell")), "description": "The taker's; null if the venue does not say."}),
    "price": DECIMAL,
    "amount": DECIMAL,
    "received": {**TIME, "description": "The provider's time at the first receipt."},
}
SCHEMAS: dict[str, Schema] = {
    "Market": record(OF_MARKET),
    "Markets": record({**PROVIDER, "markets": list_of(named("Market"))}),
    "OneMarket": record({**PROVIDER, **OF_MARKET}),
    "Ticker": record(
        {
            "market": MARKET,
            "followed": FOLLOWED,
            "last": or_null(DECIMAL),
            "last_trade": or_null(TIME),
            "from": {**TIME, "description": "Where the 24 hours begin."},
            **dict.fromkeys(("open", "high", "low"), or_null(DECIMAL)),
            "volume": DECIMAL,
            "quote_volume": or_null({**DECIMAL, "description": "null: the provider's candles have none."}),
            "trades": or_null({**COUNT, "description": "null if the provider, which counts none, takes part."}),
            **dict.fromkeys(("change", "change_percent"), or_null(DECIMAL)),
            "complete": {**YES_OR_NO, "description": "Whether no minute of the 24 hours is known to be missing."},
            "watermark": WATERMARK,
            **FEED,
        }
    ),
    "Tickers": record({**PROVIDER, "tickers": list_of(named("Ticker"))}),
    "Trade": row(OF_TRADE, COLUMNS),
    "Trades": record(
        {
            "market": MARKET,
            **PROVIDER,
            "watermark": WATERMARK,
            "columns": {"const": list(COLUMNS)},
            "trades": list_of(named("Trade")),
            "cursor": or_null({**CURSOR, "description": "The position after the last trade; null if there is none."}),
            "next": NEXT,
        }
    ),
}
