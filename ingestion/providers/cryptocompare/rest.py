"""CryptoCompare's REST API, history, pairs and rate: what to ask, and every kind of answer as a typed outcome.

Sources: the provider's parameter reference and captured answers. Nearly every legacy error travels with HTTP 200 and
says so in its envelope; since 2026 a second envelope (`Err`) comes from the same host. `Data` is a list in v1 and an
object with a list in v2. `limit` = N brings N + 1 rows, the last of which holds `toTs`.

What an answer means is decided by its HTTP status, then by its envelope, then by its data. Words of a message decide
only where none of these does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec

from datastore.reference.pairs import Listed
from datastore.timeframes.intervals import SECOND_US
from ingestion.providers.answers import (
    CallsLeft,
    CandlePage,
    CandleRow,
    ListedMarket,
    PairList,
    RateLimited,
    Refused,
    Trouble,
    Unauthorized,
    Unavailable,
    Warned,
)
from ingestion.providers.cryptocompare.call_windows import WINDOWS, seconds_left, used_up
from ingestion.providers.reading import printable

PAIRS_PATH = "/data/v3/all/exchanges"
RATE_PATH = "/stats/rate/limit"
PATHS = {60: "/data/v2/histominute", 3600: "/data/v2/histohour", 86_400: "/data/v2/histoday"}
MAX_LIMIT = 2000  # the greatest `limit`: more is an error, not cut down to it
RATE_LIMITED, NO_SUCH_MARKET = "99", "2"  # Type
KEY_WORDS, LIMIT_WORDS = ("api key", "auth key"), "rate limit"  # of bodies whose Type is not known to say it
DEFAULT_RETRY_S = 10.0  # if the provider does not say which limit it was
MAX_SLOW_DOWN_S = 60.0  # after a page that came with a warning
MAX_RETRY_S = 86_400.0  # of a Retry-After: one that is wrong must not stop everything for months
DAYS_KEPT = re.compile(r"only available for the last (\d{1,5}) days", re.IGNORECASE)
UNKNOWN_FORMAT = "the answer is not in a format that the provider is known for"


class _Row(msgspec.Struct, frozen=True, gc=False):
    """One candle as sent: `time` is its start in seconds, volumes are in base and quote units."""

    time: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal = msgspec.field(name="volumefrom")
    quote_volume: Decimal = msgspec.field(name="volumeto")


Outcome = CandlePage | Trouble
Found = TypeVar("Found", CandlePage, PairList, CallsLeft)


class _Err(msgspec.Struct):
    message: str | None = None
    status: int | None = msgspec.field(name="http_status_code", default=None)


class _Envelope(msgspec.Struct):
    """Both envelopes in one: the fields that we read."""

    response: str | None = msgspec.field(name="Response", default=None)
    message: str | None = msgspec.field(name="Message", default=None)
    warns: bool | None = msgspec.field(name="HasWarning", default=False)
    kind: str | int | None = msgspec.field(name="Type", default=None)
    parameter: str | None = msgspec.field(name="ParamWithError", default=None)
    rate: Any = msgspec.field(name="RateLimit", default=None)
    err: _Err | None = msgspec.field(name="Err", default=None)
    data: msgspec.Raw = msgspec.field(name="Data", default=msgspec.Raw())


class _Nested(msgspec.Struct):
    rows: list[msgspec.Raw] = msgspec.field(name="Data")


class _Exchange(msgspec.Struct):
    """One exchange of the list: its quotes by base."""

    pairs: dict[str, list[str]]
    active: bool = msgspec.field(name="isActive", default=True)


class _Rate(msgspec.Struct):
    left: dict[str, int] = msgspec.field(name="calls_left")


_envelopes = msgspec.json.Decoder(_Envelope, strict=False)
_exchanges = msgspec.json.Decoder(dict[str, msgspec.Raw])
_exchange = msgspec.json.Decoder(_Exchange)
_rows = msgspec.json.Decoder(list[msgspec.Raw] | _Nested)
_row = msgspec.json.Decoder(_Row, strict=False)  # whole numbers also come as text and as 1795896000.0
_rate = msgspec.json.Decoder(_Rate, strict=False)


def candles_path(names: Listed, resolution: int, last: int, before: int) -> str:
    """Return path and query for the candle that starts at `last` and the `before` ones before it (seconds)."""
    asked = {
        "fsym": names.base,
        "tsym": names.quote,
        "e": names.exchange,
        "toTs": last,
        "limit": max(1, before),
        "extraParams": "candlekeep",
    }
    return f"{PATHS[resolution]}?{urlencode(asked)}"


def read_answer(status: int, headers: Mapping[str, str], body: bytes) -> Outcome:
    """Return what an answer about candles says; never raises."""
    return _read(status, headers, body, _page)


def read_pairs(status: int, headers: Mapping[str, str], body: bytes) -> PairList | Trouble:
    """Return what an answer about pairs says; never raises."""
    return _read(status, headers, body, _pair_list)


def read_rate(status: int, headers: Mapping[str, str], body: bytes) -> CallsLeft | Trouble:
    """Return what an answer about the key's own rate says; never raises."""
    return _read(status, headers, body, _rate_told)


def _read(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    data_of: Callable[[Mapping[str, str], _Envelope], Found | Unavailable],
) -> Found | Trouble:
    """Return what the status says, else what the envelope says, else the data."""
    try:
        envelope = _envelopes.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        envelope = _Envelope()
    failed = envelope.err if envelope.err and (envelope.err.message or envelope.err.status) else None
    code = (failed and failed.status) or status
    reason = printable((failed and failed.message) or envelope.message or f"the provider answers HTTP {code}")
    if code in (401, 403):
        return Unauthorized(reason)
    limited = RateLimited(_retry_after(headers, envelope.rate), reason)
    if code == 429:
        return limited
    if code >= 500:
        return Unavailable(reason)
    if failed or envelope.response == "Error":
        return _refusal(headers, envelope, limited)
    if code != 200:
        return Unavailable(reason)
    found = data_of(headers, envelope)
    if isinstance(found, Unavailable):
        if str(envelope.kind) == RATE_LIMITED or LIMIT_WORDS in reason.lower():
            return limited
        if envelope.response is None and envelope.message:
            return _refusal(headers, envelope, limited)
    return found


def _refusal(headers: Mapping[str, str], envelope: _Envelope, limited: RateLimited) -> Trouble:
    """Return why a request is refused: by the Type or the parameter that is named, else by the words."""
    if str(envelope.kind) == RATE_LIMITED:
        return limited
    reason = limited.reason
    names_cause = envelope.err is None and (str(envelope.kind) == NO_SUCH_MARKET or envelope.parameter)
    if not names_cause and any(words in reason.lower() for words in KEY_WORDS):
        return Unauthorized(reason)
    if not names_cause and LIMIT_WORDS in reason.lower():
        return limited
    kept = DAYS_KEPT.search(reason)
    return Refused(reason, _time_of(headers), int(kept[1]) if kept else None)


def _time_of(headers: Mapping[str, str]) -> int | None:
    """Return the provider's time of an answer in microseconds, None if it does not say."""
    date = _http_date(headers.get("Date", ""))
    return None if date is None else round(date.timestamp()) * SECOND_US


def _http_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
        return date.replace(tzinfo=date.tzinfo or UTC)
    except (ValueError, OverflowError):
        return None


def _rate_told(headers: Mapping[str, str], envelope: _Envelope) -> CallsLeft | Unavailable:
    try:
        left = _rate.decode(envelope.data).left
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Unavailable(UNKNOWN_FORMAT)
    return calls_left({window: left[window] for window in WINDOWS if window in left}, _time_of(headers))


def calls_left(left: Mapping[str, int], at: int | None) -> CallsLeft:
    """Return the calls left by window, as of the provider's time in microseconds; None if it does not say."""
    return CallsLeft(left, seconds_left([window for window, calls in left.items() if calls <= 0], at))


def _pair_list(headers: Mapping[str, str], envelope: _Envelope) -> PairList | Unavailable:
    try:
        entries = _exchanges.decode(envelope.data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Unavailable(UNKNOWN_FORMAT)
    pairs: list[Listed] = []
    unreadable = 0
    for name, raw in entries.items():
        try:
            exchange = _exchange.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            unreadable += 1
            continue
        if exchange.active:
            pairs += [Listed(name, base, quote) for base, quotes in exchange.pairs.items() for quote in quotes]
    warned = _warned(headers, envelope)
    if warned and not pairs:
        return Unavailable(warned.reason)
    return PairList(tuple(map(ListedMarket, pairs)), unreadable, _provider(headers), warned)


def _provider(headers: Mapping[str, str]) -> str:
    return headers.get("X-Provider", "").partition(";")[0].strip()


def _page(headers: Mapping[str, str], envelope: _Envelope) -> CandlePage | Unavailable:
    at = _time_of(headers)
    if at is None:
        return Unavailable("the answer does not say its time (HTTP header Date)")
    try:
        found = _rows.decode(envelope.data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Unavailable(UNKNOWN_FORMAT)
    sent = found.rows if isinstance(found, _Nested) else found
    rows: list[CandleRow] = []
    for raw in sent:
        try:
            row = _row.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue  # counted below
        rows.append(CandleRow(row.time, row.open, row.high, row.low, row.close, row.volume, row.quote_volume))
    warned = _warned(headers, envelope)
    if warned and not rows:
        return Unavailable(warned.reason)  # a warning instead of rows is no empty page
    return CandlePage(tuple(rows), len(sent) - len(rows), at, _provider(headers), warned)


def _warned(headers: Mapping[str, str], envelope: _Envelope) -> Warned | None:
    """Return the warning of an answer that has data; it slows calls down for a minute at most, since they succeed."""
    if not (envelope.warns or str(envelope.kind) == RATE_LIMITED):
        return None
    reason = printable(envelope.message or "the provider warns without a reason")
    return Warned(reason, min(_retry_after(headers, envelope.rate), MAX_SLOW_DOWN_S))


def _retry_after(headers: Mapping[str, str], rate: Any) -> float:
    """Return the seconds until calls may succeed again: as the header says, else what is left of each used-up window.

    Without the provider's time: DEFAULT_RETRY_S, or a minute if a longer window is used up.
    """
    at = _time_of(headers)
    sent = headers.get("Retry-After", "")
    if sent.isascii() and sent.isdecimal():
        return min(float(sent), MAX_RETRY_S)
    if (until := _http_date(sent)) and at is not None:
        return min(max(until.timestamp() - at / SECOND_US, 1.0), MAX_RETRY_S)
    return seconds_left(used_up(rate), at) or DEFAULT_RETRY_S
