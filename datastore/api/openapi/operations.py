"""What the document says of each route and method: one entry per operation, by its address under /api/v1/."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from datastore.api.openapi.basics import BINARY, TEXT, Schema, named
from datastore.api.openapi.problems import FILE_HEADERS, HEADERS, RATES, headers
from datastore.api.params import query_params, stream_query
from datastore.api.params.query_params import ONE_MARKET, ONE_SERIES, ONE_SPAN, Accepted
from datastore.series.written_format import FORMATS

JSON, HTML, YAML = "application/json", "text/html", "application/yaml"


@dataclass(frozen=True, slots=True)
class Answer:
    """One good answer: what it means, its schema (None: no body), its headers beside those of the rate limit."""

    meaning: str
    schema: Schema | None = None
    headers: tuple[str, ...] = ()
    kinds: tuple[str, ...] = (JSON,)
    files: Mapping[str, Schema] = field(default_factory=dict)  # other forms of the same answer, by media type

    def shown(self) -> Schema:
        """Return the answer as a response of the document."""
        schemas = {**dict.fromkeys(self.kinds, self.schema), **self.files}
        content = {kind: {"schema": schema} for kind, schema in schemas.items()} if self.schema is not None else None
        shown: Schema = {"description": self.meaning, "headers": headers((*RATES, *self.headers))}
        return shown if content is None else shown | {"content": content}


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one route: query or body as parsed by the tables of params/, answers and refusals by status."""

    name: str
    group: str
    summary: str
    answers: Mapping[int, Answer]
    query: Accepted = field(default_factory=dict)
    body: Accepted | None = None
    required: tuple[str, ...] = ()
    refusals: tuple[int, ...] = ()  # beside those that any operation may have
    refusal: str | None = None  # the schema of refusals in another interface's shape; None: problem documents
    details: str = ""


def _ok(name: str, meaning: str = "The answer.", headers: tuple[str, ...] = ()) -> Answer:
    return Answer(meaning, named(name), headers)


UNCHANGED = Answer("`If-None-Match` names the answer that is still true.", None, ("ETag",))
FETCHING = _ok(
    "Accepted", "Nothing is there yet; it is being fetched, `Location` shows how far.", ("Location", "Retry-After")
)
FETCHED = (
    "A gap that has not been fetched before is fetched from the provider, and the answer waits for it. When the time "
    "is over, it is what there is: `complete` false and `request` naming the running fetch."
)
FOLLOWING = (
    "Without `cursor` a snapshot comes first (`limit` buckets, 500), then what changes; with it, or with the header "
    "`Last-Event-ID`, which goes before it, what has changed since. Events: `snapshot`, `candle`, `gap`, `watermark`; "
    "the id of an event is the cursor to come back with. `curl -NL`, or EventSource."
)
FORMATS_SAY = (
    "Without `format` the header `Accept` chooses. All forms but json are one answer of any length, made of one "
    "snapshot, and carry the certificate in their headers; arrow, parquet and feather also in the metadata of their "
    "schema (key `candlekeep`, JSON). Their decimals are decimal128(38, n), n digits as the market needs them and 18 "
    "at most, or float64 with `numbers=float`; those of feather are float64. Where pyarrow is not installed these "
    "three are 400 and name what to install. 503 with `Retry-After` while as many long answers as may be are being "
    "sent. One that breaks off ends with a line that is no row."
)
CERTIFICATE_HEADERS = tuple(name for name in HEADERS if name.startswith("Candlekeep-")) + FILE_HEADERS
CANDLES = {
    "anyOf": [named("Candles"), named("CcxtCandles"), named("BinanceKlines")],
    "description": "By `format`: json, ccxt, binance.",
}
_KINDS = {form.media_type: TEXT if form.in_blocks else BINARY for form in FORMATS.values()}
CANDLE_FILES = {kind: schema for kind, schema in _KINDS.items() if kind != "application/json"}
TRADE_FILES = {kind: _KINDS[kind] for kind in (FORMATS[name].media_type for name in query_params.TRADE_FORMATS)}
DOCUMENT = Answer("OpenAPI 3.1.", named("Document"), ("ETag",), (JSON, YAML))
STREAM = "streams/{number}"
SHOWN = "dead-letters/{number}"
ACTOR = "actors/{kind}/{name}"

OPERATIONS: dict[tuple[str, str], Operation] = {
    ("candles", "GET"): Operation(
        "candles",
        "Series",
        "Candles and their certificate",
        {
            200: Answer("The answer.", CANDLES, ("ETag", *CERTIFICATE_HEADERS), files=CANDLE_FILES),
            202: FETCHING,
            304: UNCHANGED,
        },
        query=query_params.CANDLES,
        required=ONE_SERIES,
        refusals=(404, 422),
        details=f"{FETCHED}\n\n{FORMATS_SAY}",
    ),
    ("candles/stream", "GET"): Operation(
        "followCandles",
        "Series",
        "Follow a series by Server-Sent Events",
        {307: Answer("The stream is at `Location`, for a minute.", None, ("Location",))},
        query=query_params.STREAM,
        required=ONE_SERIES,
        refusals=(404,),
        details=FOLLOWING,
    ),
    ("coverage", "GET"): Operation(
        "coverage",
        "Series",
        "The certificate alone, with totals",
        {200: _ok("Coverage", headers=("ETag",)), 304: UNCHANGED},
        query=query_params.SERIES,
        required=ONE_SERIES,
        refusals=(404,),
    ),
    ("trades", "GET"): Operation(
        "trades",
        "Series",
        "Raw trades in their order",
        {200: Answer("The answer.", named("Trades"), ("Candlekeep-Watermark", *FILE_HEADERS), files=TRADE_FILES)},
        query=query_params.TRADES,
        required=ONE_MARKET,
        refusals=(404, 422),
        details="`format` csv, ndjson, arrow and parquet: all trades of the range in one answer, or as many as `limit` "
        "says; without `from` the newest. Decimals are then decimal128(38, 18) in arrow and parquet. `cursor` replaces "
        "`from`: give one of the two.",
    ),
    ("backfill", "POST"): Operation(
        "backfill",
        "Series",
        "Fetch a span from the provider",
        {
            200: _ok(
                "NothingToFetch", "There is nothing to fetch: `completeness` says what is there, and what is final."
            ),
            202: _ok("Backfill", "It is being fetched; `Location` shows how far.", ("Location", "Retry-After")),
        },
        body=query_params.BACKFILL,
        required=ONE_SPAN,
        refusals=(404,),
        details="`again`: true also asks for what the provider has refused for good.",
    ),
    ("gaps/{number}/retry", "POST"): Operation(
        "retryGap",
        "Series",
        "Fetch a gap now",
        {
            200: _ok("NothingToFetch", "Nothing of it is missing any more."),
            202: _ok("Backfill", "It is being fetched; `Location` shows how far.", ("Location", "Retry-After")),
        },
        refusals=(404,),
        details="Whenever its next try would be; also what the provider has refused for good. The page /gaps names it.",
    ),
    ("requests/{number}", "GET"): Operation(
        "request",
        "Series",
        "How far a fetch is",
        {200: _ok("OneRequest")},
        refusals=(404,),
        details="One that ended is kept for a day.",
    ),
    ("markets", "GET"): Operation("markets", "Markets", "All markets with data", {200: _ok("Markets")}),
    ("markets", "POST"): Operation(
        "followMarket",
        "Markets",
        "Follow a market from now on",
        {
            200: _ok("OneMarket", "It was followed already.", ("Location",)),
            201: _ok("OneMarket", "It is followed from now on.", ("Location",)),
        },
        body=query_params.NEW_MARKET,
        required=ONE_MARKET,
        refusals=(404,),
    ),
    ("markets/{asked}", "GET"): Operation("market", "Markets", "One market", {200: _ok("OneMarket")}, refusals=(404,)),
    ("markets/{asked}", "DELETE"): Operation(
        "unfollowMarket",
        "Markets",
        "Follow a market no longer; its data stays",
        {200: _ok("OneMarket")},
        refusals=(404,),
    ),
    ("tickers", "GET"): Operation(
        "tickers",
        "Markets",
        "Newest price and last 24 hours of many markets",
        {200: _ok("Tickers")},
        query=query_params.TICKERS,
        refusals=(404,),
    ),
    ("tickers/stream", "GET"): Operation(
        "followTickers",
        "Markets",
        "Follow the tickers of all followed markets by Server-Sent Events",
        {307: Answer("The stream is at `Location`, for a minute.", None, ("Location",))},
        details="Event `tickers`: a list of tickers, first of all followed markets, then of those that changed, at "
        "most once a second. Of a market that is not followed any more, `market` and `followed` alone. `curl -NL`, or "
        "EventSource.",
    ),
    ("streams", "GET"): Operation(
        "streams",
        "Streams",
        "What is followed at run time, the newest first",
        {200: _ok("Streams")},
        query=stream_query.STREAMS,
        refusals=(404,),
    ),
    ("streams", "POST"): Operation(
        "makeStream",
        "Streams",
        "Follow a market and timeframe for a while",
        {
            200: _ok("OneStream", "It was live already; its lease is renewed.", ("Location",)),
            202: _ok("OneStream", "It is being made; `Location` shows how far.", ("Location",)),
        },
        body=stream_query.NEW_STREAM,
        required=ONE_SERIES,
        refusals=(404, 409),
        details="The same market and timeframe are the same stream while it lives: asking again renews its lease.",
    ),
    (STREAM, "GET"): Operation(
        "stream", "Streams", "One stream with every step of its life", {200: _ok("OneStream")}, refusals=(404,)
    ),
    (f"{STREAM}/events", "GET"): Operation(
        "followStream",
        "Streams",
        "Follow its candles by Server-Sent Events, and keep its lease",
        {307: Answer("The candles are pushed at `Location`, for a minute.", None, ("Location",))},
        query=stream_query.EVENTS,
        refusals=(404, 409),
        details=FOLLOWING,
    ),
    (STREAM, "PUT"): Operation(
        "renewStream", "Streams", "Renew its lease", {200: _ok("OneStream", "It is renewed.")}, refusals=(404, 409)
    ),
    (STREAM, "DELETE"): Operation(
        "endStream",
        "Streams",
        "End it",
        {202: _ok("OneStream", "It has ended; its topic retires if no other stream needs it.")},
        refusals=(404,),
    ),
    ("dead-letters", "GET"): Operation(
        "deadLetters",
        "Operations",
        "Records that could not be stored, the newest first",
        {200: _ok("DeadLetters")},
        query=query_params.DEAD_LETTERS,
    ),
    (SHOWN, "GET"): Operation(
        "deadLetter", "Operations", "One record with all its bytes", {200: _ok("DeadLetter")}, refusals=(404,)
    ),
    (f"{SHOWN}/replay", "POST"): Operation(
        "replay",
        "Operations",
        "Publish a record again",
        {202: _ok("DeadLetter", "It is published; the consumer is yet to store it.")},
        refusals=(404, 409),
    ),
    ("actors", "GET"): Operation("actors", "Operations", "The states of all actors", {200: _ok("Actors")}),
    ("actors/log", "GET"): Operation(
        "actorLog",
        "Operations",
        "The log of all actors, the newest first",
        {200: _ok("ActorLog")},
        query=query_params.ACTOR_LOG,
        details=(
            "Transitions and takeovers. Equal transitions of a busy actor are one line a minute with their `count`; a "
            "failure, a reset and a takeover have a line of their own, with `reason` and `by`."
        ),
    ),
    (ACTOR, "GET"): Operation(
        "actor", "Operations", "One actor and its newest transitions", {200: _ok("OneActor")}, refusals=(404,)
    ),
    (f"{ACTOR}/reset", "POST"): Operation(
        "reset",
        "Operations",
        "Reset an actor in Error",
        {200: _ok("Actor", "Its new state.")},
        refusals=(404, 409),
    ),
    ("", "GET"): Operation(
        "root", "This document", "What answers here, in which version, and where to go on", {200: _ok("Root")}
    ),
    ("schema", "GET"): Operation(
        "schema", "This document", "The API as OpenAPI 3.1", {200: DOCUMENT, 304: UNCHANGED}, query=query_params.SCHEMA
    ),
    ("docs", "GET"): Operation(
        "docs", "This document", "The API as a page to try it out", {200: Answer("A page.", TEXT, (), (HTML,))}
    ),
}
