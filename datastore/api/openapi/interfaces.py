"""The addresses of other interfaces: TradingView's data feed under /udf/, Binance's market data under /binance/."""

from __future__ import annotations

from datastore.api.binance.query import DAY_MS, MAX_SYMBOLS, MAX_WHOLE, UTC_ZONES
from datastore.api.openapi.basics import COUNT, DECIMAL, TEXT, TIME, YES_OR_NO, Schema, list_of, named, record, row
from datastore.api.openapi.operations import Answer, Operation
from datastore.api.params.parameter import MARKET, Parameter
from datastore.api.params.query_params import Accepted
from datastore.api.params.times import EARLIEST, LATEST, to_ms
from datastore.api.udf import query as udf
from datastore.timeframes.timeframe import TIMEFRAMES

TRADINGVIEW, BINANCE = "TradingView", "Binance"
UDF_ERROR, BINANCE_ERROR = "UdfRefusal", "BinanceRefusal"
PUBLIC_WS, PUBLIC_STREAM = "/binance/ws", "/binance/stream"
SECONDS: Schema = {"type": "integer", "description": "Seconds since 1970, UTC.", "examples": [1764028800]}
NUMBER: Schema = {"type": "number"}


def _udf(name: str, summary: str, answer: Answer, query: Accepted, required: tuple[str, ...] = ()) -> Operation:
    return Operation(
        f"udf{name}",
        TRADINGVIEW,
        summary,
        {200: answer, **({304: Answer("Unchanged.", None, ("ETag",))} if name == "History" else {})},
        query=query,
        required=required,
        refusals=(404,) if "symbol" in required else (),
        refusal=UDF_ERROR,
    )


# As _time() in binance/query.py reads them: the first day of 1970 stands for the beginning of all data.
_MILLIS: Schema = {
    "anyOf": [
        {"type": "integer", "minimum": 0, "maximum": DAY_MS},
        {"type": "integer", "minimum": to_ms(EARLIEST), "exclusiveMaximum": to_ms(LATEST)},
    ]
}
_WHOLE: Schema = {"type": "integer", "minimum": 0, "maximum": MAX_WHOLE}
_NAMES = r'"[^"\\\x00-\x1f\x7f-\x9f]*"'
STREAMS = (
    f"Streams are WebSockets of the stream process, at `{PUBLIC_WS}/<stream>` and `{PUBLIC_STREAM}?streams=…`: its "
    "port is SSE_PORT, its host the API's, or both are those of PUBLIC_URL."
)
_SYMBOL = Parameter(str, f"A market: {MARKET.description} BTCUSDT too.", MARKET.schema, "BTCUSDT")
_SYMBOLS = Parameter(
    str,
    'Several, as `["BTCUSDT","ETHUSDT"]`.',
    {"type": "string", "pattern": rf"^\[ *{_NAMES}( *, *{_NAMES}){{0,{MAX_SYMBOLS - 1}}} *\]$"},
)
_TEXT = Parameter(str, "Read, and of no consequence here.", {"type": "string", "minLength": 1})
_LIMIT = Parameter(int, "How many at most; 500 without, never more than 1,000.", {**_WHOLE, "minimum": 1})
_RANGE: Accepted = {
    "startTime": Parameter(int, "The first one is not before; milliseconds.", _MILLIS),
    "endTime": Parameter(int, "The last one is not after; milliseconds.", _MILLIS),
}
_KLINES: Accepted = {
    "symbol": _SYMBOL,
    "interval": Parameter(str, "Length of a bucket; case matters.", {"type": "string", "enum": list(TIMEFRAMES)}, "1m"),
    **_RANGE,
    "timeZone": Parameter(str, "Only 0: buckets are those of UTC.", {"type": "string", "enum": list(UTC_ZONES)}),
    "limit": _LIMIT,
}
_TYPE = Parameter(str, "FULL, or MINI for fewer fields.", {"type": "string", "enum": ["FULL", "MINI"]})
_ONE, _SOME = ("symbol",), {"symbol": _SYMBOL, "symbols": _SYMBOLS}


def _binance(
    name: str, summary: str, schema: Schema, query: Accepted | None = None, required: tuple[str, ...] = ()
) -> Operation:
    return Operation(
        f"binance{name}",
        BINANCE,
        summary,
        {200: Answer("The answer.", schema)},
        query=query or {},
        required=required,
        refusal=BINANCE_ERROR,
        details=STREAMS if name == "ExchangeInfo" else "",
    )


def _json(schema: Schema) -> Answer:
    return Answer("The answer.", schema)


OPERATIONS: dict[tuple[str, str], Operation] = {
    ("/udf/config", "GET"): _udf("Config", "What the feed can do", _json(named("UdfConfig")), {}),
    ("/udf/time", "GET"): _udf(
        "Time", "The provider's time in seconds", Answer("Digits.", TEXT, (), ("text/plain",)), {}
    ),
    ("/udf/symbols", "GET"): _udf("Symbols", "One market", _json(named("UdfSymbol")), udf.SYMBOLS, ("symbol",)),
    ("/udf/search", "GET"): _udf(
        "Search", "Markets whose name holds a text", _json(list_of(named("UdfFound"))), udf.SEARCH
    ),
    ("/udf/history", "GET"): _udf(
        "History", "Bars", Answer("The answer.", named("UdfBars"), ("ETag",)), udf.HISTORY, udf.HISTORY_NEEDS
    ),
    ("/udf/marks", "GET"): _udf(
        "Marks", "Marks at bars: gaps, corrections", _json(list_of(named("UdfMark"))), udf.MARKS, udf.MARKS_NEED
    ),
    ("/udf/timescale_marks", "GET"): _udf(
        "TimescaleMarks",
        "Marks on the time axis: gaps",
        _json(list_of(named("UdfTimescaleMark"))),
        udf.MARKS,
        udf.MARKS_NEED,
    ),
    ("/binance/api/v3/ping", "GET"): _binance("Ping", "Whether the server is there", record({})),
    ("/binance/api/v3/time", "GET"): _binance("Time", "The provider's time", record({"serverTime": TIME})),
    ("/binance/api/v3/exchangeInfo", "GET"): _binance(
        "ExchangeInfo",
        "The followed markets, or those that are named",
        named("BinanceExchangeInfo"),
        {**_SOME, "permissions": _TEXT, "showPermissionSets": _TEXT, "symbolStatus": _TEXT},
    ),
    ("/binance/api/v3/klines", "GET"): _binance(
        "Klines", "Candles", list_of(named("BinanceKline")), _KLINES, ("symbol", "interval")
    ),
    ("/binance/api/v3/uiKlines", "GET"): _binance(
        "UiKlines", "Candles, the same", list_of(named("BinanceKline")), _KLINES, ("symbol", "interval")
    ),
    ("/binance/api/v3/ticker/price", "GET"): _binance(
        "PriceTicker",
        "Newest prices: one, or a list",
        {"anyOf": [named("BinancePrice"), list_of(named("BinancePrice"))]},
        _SOME,
    ),
    ("/binance/api/v3/ticker/24hr", "GET"): _binance(
        "DayTicker",
        "The last 24 hours: of one market, or a list",
        {"anyOf": [named("BinanceDay"), list_of(named("BinanceDay"))]},
        {**_SOME, "type": _TYPE, "symbolStatus": _TEXT},
    ),
    ("/binance/api/v3/trades", "GET"): _binance(
        "Trades",
        "Newest trades, where ids are held",
        list_of(named("BinanceTrade")),
        {"symbol": _SYMBOL, "limit": _LIMIT},
        _ONE,
    ),
    ("/binance/api/v3/aggTrades", "GET"): _binance(
        "AggregateTrades",
        "Trades as aggregates, where ids are held",
        list_of(named("BinanceAggregate")),
        {
            "symbol": _SYMBOL,
            "fromId": Parameter(int, "The first one's number is not smaller.", _WHOLE),
            **_RANGE,
            "limit": _LIMIT,
        },
        _ONE,
    ),
}

_KLINE_COLUMNS: dict[str, Schema] = {
    "open time": TIME,
    **dict.fromkeys(("open", "high", "low", "close", "volume"), DECIMAL),
    "close time": TIME,
    "quote volume": {**DECIMAL, "description": "0 where the provider gives none."},
    "trades": {**COUNT, "description": "0 where the provider counts none."},
    "taker base volume": {**DECIMAL, "description": "0: not stored."},
    "taker quote volume": {**DECIMAL, "description": "0: not stored."},
    "unused": DECIMAL,
}
_DAY: dict[str, Schema] = {
    "symbol": TEXT,
    **dict.fromkeys(("priceChange", "priceChangePercent", "weightedAvgPrice"), DECIMAL),
    **dict.fromkeys(("lastPrice", "openPrice", "highPrice", "lowPrice", "volume", "quoteVolume"), DECIMAL),
    "openTime": TIME,
    "closeTime": TIME,
    "firstId": {"type": "integer"},
    "lastId": {"type": "integer"},
    "count": COUNT,
}
_NOT_ALWAYS = ("priceChange", "priceChangePercent", "weightedAvgPrice", "quoteVolume", "count")
_NUMBERS: Schema = list_of(NUMBER)
_MARK: dict[str, Schema] = {"id": TEXT, "time": SECONDS, "color": TEXT, "label": TEXT}
SCHEMAS: dict[str, Schema] = {
    UDF_ERROR: record({"s": {"const": "error"}, "errmsg": TEXT}, description="A refusal, as the library reads it."),
    "UdfConfig": record(
        {
            "supported_resolutions": list_of(TEXT),
            **dict.fromkeys(
                (
                    "supports_search",
                    "supports_group_request",
                    "supports_marks",
                    "supports_timescale_marks",
                    "supports_time",
                ),
                YES_OR_NO,
            ),
            "exchanges": list_of(record(dict.fromkeys(("value", "name", "desc"), TEXT))),
            "symbols_types": list_of(record(dict.fromkeys(("name", "value"), TEXT))),
        }
    ),
    "UdfSymbol": record(
        {
            **dict.fromkeys(
                (
                    *("name", "full_name", "ticker", "description", "type", "session", "timezone", "exchange"),
                    *("listed_exchange", "exchange-traded", "exchange-listed", "format"),
                ),
                TEXT,
            ),
            **dict.fromkeys(
                ("pricescale", "minmov", "minmov2", "minmovement", "minmovement2", "volume_precision"), COUNT
            ),
            "has_intraday": YES_OR_NO,
            "intraday_multipliers": list_of(TEXT),
            "has_daily": YES_OR_NO,
            "daily_multipliers": list_of(TEXT),
            "has_weekly_and_monthly": YES_OR_NO,
            "weekly_multipliers": list_of(TEXT),
            "monthly_multipliers": list_of(TEXT),
            "has_empty_bars": YES_OR_NO,
            "visible_plots_set": TEXT,
            "supported_resolutions": list_of(TEXT),
            "data_status": TEXT,
            "currency_code": TEXT,
        },
        description="minmov / pricescale is the smallest step of prices.",
    ),
    "UdfFound": record(
        dict.fromkeys(("symbol", "full_name", "ticker", "description", "exchange", "type"), TEXT),
        description="A market that was found.",
    ),
    "UdfBars": {
        "anyOf": [
            record({"s": {"const": "ok"}, "t": list_of(SECONDS), **dict.fromkeys(("o", "h", "l", "c", "v"), _NUMBERS)}),
            record({"s": {"const": "no_data"}}),
            record({"s": {"const": "no_data"}, "nextTime": SECONDS}),
        ],
        "description": "Bars in columns; without one, when the newest before them begins.",
    },
    "UdfMark": record({**_MARK, "text": TEXT, "labelFontColor": TEXT, "minSize": COUNT}),
    "UdfTimescaleMark": record({**_MARK, "tooltip": list_of(TEXT)}),
    BINANCE_ERROR: record({"code": {"type": "integer", "maximum": -1}, "msg": TEXT}, description="A refusal."),
    "BinanceKline": row(_KLINE_COLUMNS, _KLINE_COLUMNS),
    "BinancePrice": record({"symbol": TEXT, "price": DECIMAL}),
    "BinanceDay": {
        **record(
            _DAY, description="MINI leaves out change and average; what a provider does not give is left out too."
        ),
        "required": [name for name in _DAY if name not in _NOT_ALWAYS],
    },
    "BinanceTrade": record(
        {
            "id": COUNT,
            **dict.fromkeys(("price", "qty", "quoteQty"), DECIMAL),
            "time": TIME,
            "isBuyerMaker": YES_OR_NO,
            "isBestMatch": YES_OR_NO,
        }
    ),
    "BinanceAggregate": record(
        {"a": COUNT, "p": DECIMAL, "q": DECIMAL, "f": COUNT, "l": COUNT, "T": TIME, "m": YES_OR_NO, "M": YES_OR_NO}
    ),
    "BinanceExchangeInfo": record(
        {
            "timezone": TEXT,
            "serverTime": TIME,
            "rateLimits": list_of({"type": "object"}),
            "exchangeFilters": list_of({"type": "object"}),
            "symbols": list_of(
                {"type": "object", "required": ["symbol", "status", "baseAsset", "quoteAsset", "filters"]}
            ),
        }
    ),
}
