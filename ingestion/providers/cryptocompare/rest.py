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
from datastore.timeframes.intervals import SECOND_US

PAIRS_PATH = "/data/v3/all/exchanges"
RATE_PATH = "/stats/rate/limit"
PATHS = {60: "/data/v2/histominute", 3600: "/data/v2/histohour", 86_400: "/data/v2/histoday"}
MAX_LIMIT = 2000  # the greatest `limit`: more is an error, not cut down to it
RATE_LIMITED, NO_SUCH_MARKET = "99", "2"
# The longest wait of a caller whose calls of this window are used up, shortest first.
WINDOW_SECONDS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0, "month": 86_400.0}
DEFAULT_RETRY_S = 10.0  # if the provider does not say which limit it was
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
    provider: str = ""  # its name for itself (header X-Provider), empty if it gives none


@dataclass(frozen=True, slots=True)
class RateLimited:
    """Too many calls; ask again after retry_after seconds."""

    retry_after: float
    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """This request is not answered; final: nor will it ever be."""

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
class RateTold:  # as every outcome's, its name is a label of PROVIDER_CALLS
    """The calls that the provider still allows this key, from anywhere, by window: second to month."""

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


_envelopes = msgspec.json.Decoder(_Envelope)
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
    envelope = _envelope_of(body)
    return _trouble(status, headers, envelope) or _page(headers, envelope)


def read_pairs(status: int, headers: Mapping[str, str], body: bytes) -> PairList | Trouble:
    """Return what an answer about pairs says; never raises."""
    envelope = _envelope_of(body)
    return _trouble(status, headers, envelope) or _pair_list(headers, envelope)


def read_rate(status: int, headers: Mapping[str, str], body: bytes) -> RateTold | Trouble:
    """Return what an answer about the key's own rate says; never raises."""
    envelope = _envelope_of(body)
    if trouble := _trouble(status, headers, envelope):
        return trouble
    try:
        left = _rate.decode(envelope.data).left
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Unavailable(UNKNOWN_FORMAT)
    return RateTold({window: left[window] for window in WINDOW_SECONDS if window in left})


def _envelope_of(body: bytes) -> _Envelope:
    try:
        return _envelopes.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Envelope()


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
    return PairList(tuple(pairs), unreadable, _provider(headers))


def _provider(headers: Mapping[str, str]) -> str:
    return headers.get("X-Provider", "").partition(";")[0].strip()


def _trouble(status: int, headers: Mapping[str, str], envelope: _Envelope) -> Trouble | None:
    failed = envelope.err if envelope.err and (envelope.err.message or envelope.err.status) else None
    code = (failed and failed.status) or status
    text = (failed and failed.message) or envelope.message or f"the provider answers HTTP {code}"
    # One printable line that a record can hold.
    reason = " ".join("".join(char if char.isprintable() else " " for char in text).split())[:MAX_REASON_CHARS] or "?"
    lower = reason.lower()
    if code in (401, 403) or "api key" in lower or "auth key" in lower:
        return Unauthorized(reason)
    if code == 429 or str(envelope.kind) == RATE_LIMITED or "rate limit" in lower:
        return RateLimited(_retry_after(headers, envelope.rate), reason)
    if code >= 500:
        return Unavailable(reason)
    if failed or envelope.response == "Error":
        no_market = str(envelope.kind) == NO_SUCH_MARKET or "does not exist" in lower or "there is no data for" in lower
        return Refused(reason, final=no_market or "only available for the last" in lower)
    return Unavailable(reason) if code != 200 else None


def _page(headers: Mapping[str, str], envelope: _Envelope) -> Page | Unavailable:
    try:
        date = parsedate_to_datetime(headers.get("Date", ""))
        at = round(date.replace(tzinfo=date.tzinfo or UTC).timestamp()) * SECOND_US
    except (ValueError, OverflowError):
        return Unavailable("the answer does not say its time (HTTP header Date)")
    try:
        found = _rows.decode(envelope.data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Unavailable(UNKNOWN_FORMAT)
    sent = found.rows if isinstance(found, _Nested) else found
    rows: list[Row] = []
    for raw in sent:
        try:
            rows.append(_row.decode(raw))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue  # counted below
    return Page(tuple(rows), len(sent) - len(rows), at, _provider(headers))


def _retry_after(headers: Mapping[str, str], rate: Any) -> float:
    sent = headers.get("Retry-After", "")
    if sent.isascii() and sent.isdecimal():
        return min(float(sent), WINDOW_SECONDS["day"])
    made_counts, limits = _counts(rate, "calls_made"), _counts(rate, "max_calls")
    used_up = []
    for name, seconds in WINDOW_SECONDS.items():
        made, limit = made_counts.get(name), limits.get(name)
        if isinstance(made, int) and isinstance(limit, int) and made >= limit:
            used_up.append(seconds)
    return max(used_up, default=DEFAULT_RETRY_S)


def _counts(rate: object, name: str) -> dict[str, object]:
    found = rate.get(name) if isinstance(rate, dict) else None
    return found if isinstance(found, dict) else {}
