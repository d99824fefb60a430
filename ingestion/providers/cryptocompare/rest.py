"""CryptoCompare's REST API, history, pairs and rate: what to ask, and every kind of answer as a typed outcome.

Sources: the provider's parameter reference and captured answers. Nearly every legacy error travels with HTTP 200 and
says so in its envelope; since 2026 a second envelope (`Err`) comes from the same host. `Data` is a list in v1 and an
object with a list in v2. `limit` = N brings N + 1 rows, the last of which holds `toTs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode

import msgspec

from datastore.reference.pairs import Listed

SECOND = 1_000_000
PAIRS_PATH = "/data/v3/all/exchanges"
RATE_PATH = "/stats/rate/limit"
PATHS = {60: "/data/v2/histominute", 3600: "/data/v2/histohour", 86_400: "/data/v2/histoday"}
MAX_LIMIT = 2000  # the greatest `limit`: more is an error, not a clamp
RATE_LIMITED, NO_SUCH_MARKET = "99", "2"
# How long a caller whose calls of this window are used up has to wait at the most, shortest first.
WINDOW_SECONDS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0, "month": 86_400.0}
DEFAULT_RETRY_S = 10.0  # seconds: where the provider does not say which limit it was
MAX_REASON_CHARS = 200
UNKNOWN_FORMAT = "the answer is not in a format that the provider is known for"


@dataclass(frozen=True, slots=True)
class ProviderNames:
    """A market as the provider spells it; its symbols are case-sensitive."""

    exchange: str
    base: str
    quote: str


class Row(msgspec.Struct, frozen=True, gc=False):
    """One candle as sent: `time` is its start in seconds, volumes are in base and quote units."""

    time: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal = msgspec.field(name="volumefrom")
    quote_volume: Decimal = msgspec.field(name="volumeto")


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in the provider's order; those that cannot be read are only counted."""

    rows: tuple[Row, ...]
    unreadable: int
    at: int  # the provider's time of the answer, microseconds
    provider: str = ""  # as it introduces itself (header X-Provider), empty where it does not


@dataclass(frozen=True, slots=True)
class RateLimited:
    """Too many calls; ask again after so many seconds."""

    retry_after: float
    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """This question is not answered; final: nor will it ever be."""

    reason: str
    final: bool


@dataclass(frozen=True, slots=True)
class Unauthorized:
    """The key is missing, wrong or not paid for."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unavailable:
    """No usable answer: an error of the provider's own, or garbage."""

    reason: str


@dataclass(frozen=True, slots=True)
class PairList:
    """All pairs of the exchanges that the provider calls active; entries that cannot be read are only counted."""

    pairs: tuple[Listed, ...]
    unreadable: int
    provider: str = ""  # as in Page


@dataclass(frozen=True, slots=True)
class RateTold:
    """The calls that the provider still allows this key, whoever makes them, by window: second to month."""

    left: dict[str, int]


Trouble = RateLimited | Refused | Unauthorized | Unavailable
Outcome = Page | Trouble


class _Err(msgspec.Struct):
    message: str | None = None
    status: int | None = msgspec.field(name="http_status_code", default=None)


class _Envelope(msgspec.Struct):
    """Both envelopes in one: the fields that we read."""

    response: str | None = msgspec.field(name="Response", default=None)
    message: str | None = msgspec.field(name="Message", default=None)
    kind: str | int | None = msgspec.field(name="Type", default=None)
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


_envelope = msgspec.json.Decoder(_Envelope)
_exchanges = msgspec.json.Decoder(dict[str, msgspec.Raw])
_exchange = msgspec.json.Decoder(_Exchange)
_rows = msgspec.json.Decoder(list[msgspec.Raw] | _Nested)
_row = msgspec.json.Decoder(Row)
_rate = msgspec.json.Decoder(_Rate)


def candles_path(names: ProviderNames, resolution: int, last: int, before: int) -> str:
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
    said = _said(body)
    return _trouble(status, headers, said) or _page(headers, said)


def read_pairs(status: int, headers: Mapping[str, str], body: bytes) -> PairList | Trouble:
    """Return what an answer about pairs says; never raises."""
    said = _said(body)
    return _trouble(status, headers, said) or _pair_list(headers, said)


def read_rate(status: int, headers: Mapping[str, str], body: bytes) -> RateTold | Trouble:
    """Return what an answer about the key's own rate says; never raises."""
    said = _said(body)
    if trouble := _trouble(status, headers, said):
        return trouble
    try:
        left = _rate.decode(said.data).left
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Unavailable(UNKNOWN_FORMAT)
    return RateTold({window: left[window] for window in WINDOW_SECONDS if window in left})


def _said(body: bytes) -> _Envelope:
    try:
        return _envelope.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Envelope()


def _pair_list(headers: Mapping[str, str], said: _Envelope) -> PairList | Unavailable:
    try:
        entries = _exchanges.decode(said.data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Unavailable(UNKNOWN_FORMAT)
    found = {name: _read_exchange(raw) for name, raw in entries.items()}
    pairs = tuple(
        Listed(name, base, quote)
        for name, exchange in found.items()
        if exchange and exchange.active
        for base, quotes in exchange.pairs.items()
        for quote in quotes
    )
    return PairList(pairs, sum(exchange is None for exchange in found.values()), _provider(headers))


def _read_exchange(raw: msgspec.Raw) -> _Exchange | None:
    try:
        return _exchange.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _provider(headers: Mapping[str, str]) -> str:
    return headers.get("X-Provider", "").partition(";")[0].strip()


def _trouble(status: int, headers: Mapping[str, str], said: _Envelope) -> Trouble | None:
    failed = said.err if said.err and (said.err.message or said.err.status) else None
    code = (failed and failed.status) or status
    reason = _line((failed and failed.message) or said.message or f"the provider answers HTTP {code}")
    lower = reason.lower()
    if code in (401, 403) or "api key" in lower or "auth key" in lower:
        return Unauthorized(reason)
    if code == 429 or str(said.kind) == RATE_LIMITED or "rate limit" in lower:
        return RateLimited(_retry_after(headers, said.rate), reason)
    if code >= 500:
        return Unavailable(reason)
    if failed or said.response == "Error":
        return _refused(reason, lower, str(said.kind))
    return Unavailable(reason) if code != 200 else None


def _refused(reason: str, lower: str, kind: str) -> Refused:
    unknown = kind == NO_SUCH_MARKET or "does not exist" in lower or "there is no data for" in lower
    return Refused(reason, final=unknown or "only available for the last" in lower)


def _page(headers: Mapping[str, str], said: _Envelope) -> Page | Unavailable:
    at = _stamp(headers.get("Date", ""))
    if at is None:
        return Unavailable("the answer does not say its time (HTTP header Date)")
    try:
        found = _rows.decode(said.data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Unavailable(UNKNOWN_FORMAT)
    sent = found.rows if isinstance(found, _Nested) else found
    rows = [row for row in map(_read_row, sent) if row is not None]
    return Page(tuple(rows), len(sent) - len(rows), at, _provider(headers))


def _read_row(raw: msgspec.Raw) -> Row | None:
    try:
        return _row.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _stamp(date: str) -> int | None:
    try:
        sent = parsedate_to_datetime(date)
        return round(sent.replace(tzinfo=sent.tzinfo or UTC).timestamp()) * SECOND
    except (ValueError, OverflowError):
        return None


def _retry_after(headers: Mapping[str, str], rate: Any) -> float:
    said = headers.get("Retry-After", "")
    if said.isascii() and said.isdecimal():
        return min(float(said), WINDOW_SECONDS["day"])
    made, most = _counts(rate, "calls_made"), _counts(rate, "max_calls")
    used_up = [seconds for name, seconds in WINDOW_SECONDS.items() if _is_used_up(made.get(name), most.get(name))]
    return max(used_up, default=DEFAULT_RETRY_S)


def _counts(rate: object, name: str) -> dict[str, object]:
    found = rate.get(name) if isinstance(rate, dict) else None
    return found if isinstance(found, dict) else {}


def _is_used_up(made: object, most: object) -> bool:
    return isinstance(made, int) and isinstance(most, int) and made >= most


def _line(text: str) -> str:
    """Return text as one printable line that a record can hold."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:MAX_REASON_CHARS] or "?"
