"""What the venues' frames and answers have in common: numbers, times, and HTTP that went wrong. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime

import msgspec

from actor_runtime.redaction import without_secrets
from datastore.reference.pairs import Listed
from datastore.timeframes.intervals import SECOND_US, micros_of
from ingestion.providers.answers import (
    Answer,
    Blocked,
    CandlePage,
    CandleRow,
    RateLimited,
    Refused,
    TradePage,
    TradesAsked,
    Trouble,
    Unauthorized,
    Unavailable,
)
from ingestion.providers.events import Garbage, LastId, TradeSeen
from streaming.bounds import MAX_BIGINT, MAX_TIME_US, MIN_TIME_US, PROVIDER_EXPONENTS
from streaming.refusals import RefusalCode

# Deeply nested brackets end in RecursionError, text that is not UTF-8 in UnicodeDecodeError, a ValueError.
DECODE_ERRORS = (msgspec.MsgspecError, ValueError, RecursionError)
UNKNOWN_FORMAT = "the answer is not in a format that the provider is known for"
MAX_REASON_CHARS = 200
MS_US = 1000  # microseconds in a millisecond
DEFAULT_RETRY_S, DEFAULT_BAN_S, MAX_RETRY_S = 10.0, 120.0, 259_200.0  # a ban lasts two minutes to three days
# An answer may have been made from a copy that lags behind the market: what it says of the newest trade is believed of
# a time so much earlier.
STATEMENT_LAG_US = 2 * SECOND_US
NO_PROGRESS = "the page does not continue the one before it"
_document = msgspec.json.Decoder(msgspec.Raw)
MAX_AGGREGATED = 100_000  # trades in one: a range that is longer would cover ids that nobody sent


def implausible(price: Decimal, amount: Decimal) -> str | None:
    """Return why no trade can have this price or amount, None if one can."""
    for name, value in (("price", price), ("amount", amount)):
        # adjusted() is the exponent of the first digit, the tuple's that of the last one.
        last = value.as_tuple().exponent
        if not isinstance(last, int) or last < PROVIDER_EXPONENTS.start or value.adjusted() not in PROVIDER_EXPONENTS:
            return f"the {name} is not a plausible number"
    if price <= 0:
        return f"the price {price} is not above 0"
    return f"the amount {amount} is below 0" if amount < 0 else None


def counted_trade(
    sub: str,
    id: int,
    ts: int | None,
    price: Decimal,
    amount: Decimal,
    side: int | None,
    *,
    ids: tuple[int, int] | None = None,
    stamp: int | None = None,
    replayed: bool = False,
) -> TradeSeen | Garbage:
    """Return a trade of a venue that counts its trades, or why it can be none.

    ids: the first and the last of the trades that it aggregates; without it, the trade is one and `id` is above 0.
    """
    first, last = ids or (id, id)
    if ts is None:
        return Garbage("a trade without a time", sub, stamp=stamp)
    if reason := implausible(price, amount):
        return Garbage(reason, sub, stamp=stamp, code=RefusalCode.NUMBER)
    least = 0 if ids else 1  # some say 0 where they do not know
    if not least <= id <= MAX_BIGINT or not least <= first <= last <= MAX_BIGINT:
        return Garbage(f"{id} is no trade's id, or {first} to {last} are not", sub, stamp=stamp)
    if last - first >= MAX_AGGREGATED:
        return Garbage(f"one aggregate of {last - first + 1:,} trades is not plausible", sub, stamp=stamp)
    if side is None:
        return Garbage("a trade without a side", sub, stamp=stamp)
    return TradeSeen(
        sub=sub,
        ts=ts,
        id=str(id),
        price=price,
        amount=amount,
        side=side,
        seq=id,
        first=first,
        last=last,
        stamp=stamp,
        replayed=replayed,
    )


def sound_of(read: Iterable[TradeSeen | Garbage]) -> tuple[dict[int, TradeSeen], tuple[Garbage, ...]]:
    """Return the trades of a page by their ids, and what is none: a second trade of one id is not lost silently."""
    sent: dict[int, TradeSeen] = {}
    garbage: list[Garbage] = []
    for row in read:
        if isinstance(row, Garbage):
            garbage.append(row)
        elif row != sent.setdefault(int(row.id), row):
            garbage.append(Garbage(f"two different trades of the id {row.id}", row.sub))
    return sent, tuple(garbage)


def id_below(asked: TradesAsked, cursor: str | None) -> int | None:
    """Return the id below which a page lies of a venue that goes from the newest trade down; None: the newest page."""
    return int(cursor) if cursor else asked.before.id if asked.before else None


def page_below(
    asked: TradesAsked,
    cursor: str | None,
    answer: Answer,
    read: Iterable[TradeSeen | Garbage],
    *,
    tells_newest: bool = True,
) -> TradePage | Unavailable:
    """Return the page below id_below(), whose lowest id is the next page's cursor.

    tells_newest: the newest page is as new as its time. False: it may come from an older copy.
    """
    sent, garbage = sound_of(read)
    if garbage and not sent:
        return no_data(answer)
    below, known = id_below(asked, cursor), asked.after.id if asked.after else 0
    ids = sorted(id for id in sent if below is None or id < below)
    if sent and not ids:
        return Unavailable(NO_PROGRESS)
    at = time_of(answer.headers)
    says_newest = tells_newest and below is None and bool(ids) and at is not None and not garbage
    lowest = ids[0] if ids else below or 1
    reached = asked.reaches_back and any(sent[id].ts < (asked.since or 0) for id in ids)
    return TradePage(
        trades=tuple(sent[id] for id in ids if id > known),
        garbage=garbage,
        cursor=str(lowest) if ids and lowest > known + 1 and not reached else None,
        at=at,
        newest=LastId(asked.sub, ids[-1], (at or 0) - STATEMENT_LAG_US) if says_newest else None,
        floor=not ids and lowest > known + 1,
    )


def candle_page(
    rows: Sequence[msgspec.Raw], answer: Answer, read: Callable[[msgspec.Raw], CandleRow | None]
) -> CandlePage | Unavailable:
    """Return the rows that `read` makes candles of, and how many it does not: None, or one of DECODE_ERRORS."""
    at = time_of(answer.headers)
    if at is None:
        return Unavailable("the answer does not say its time (HTTP header Date)")
    candles: list[CandleRow] = []
    for raw in rows:
        with suppress(*DECODE_ERRORS):
            if (candle := read(raw)) is not None:
                candles.append(candle)
    return CandlePage(tuple(candles), len(rows) - len(candles), at)


class DashedNames:
    """The names of a venue that spells its pairs base-quote."""

    def __init__(self, venue: str) -> None:
        """Name the venue."""
        self._venue = venue

    def sub_of(self, pair: Listed) -> str:
        """Return the name of a pair."""
        return f"{pair.base}-{pair.quote}"

    def pair_of(self, sub: str) -> Listed | None:
        """Return the pair of a name; None if it is none."""
        base, dash, quote = sub.partition("-")
        return Listed(self._venue, base, quote) if base and dash and quote and "-" not in quote else None


def named_in(text: str, names: Collection[str]) -> str | None:
    """Return the first of these names in the words of an error that has no field for it."""
    words = (word.strip(".") for word in re.split(r"[\s\"',:;]+", text))
    return next((word for word in words if word in names), None)


def batches(subs: Sequence[str], size: int) -> list[Sequence[str]]:
    """Return the names in order, in parts of at most this size."""
    return [subs[at : at + size] for at in range(0, len(subs), size)]


def plausible_time(micros: int) -> int | None:
    """Return the time; None if no clock could show it: one far in the future would never be taken back."""
    return micros if MIN_TIME_US < micros < MAX_TIME_US else None


def micros_of_text(text: str) -> int | None:
    """Return the time of an ISO text in microseconds, finer digits cut off; None if it has none, or no zone."""
    try:
        time = datetime.fromisoformat(text)
        return None if time.tzinfo is None else plausible_time(micros_of(time))
    except (ValueError, OverflowError):
        return None


def micros_of_seconds(seconds: Decimal) -> int | None:
    """Return a time in seconds in microseconds, finer digits cut off; None if no clock could show it."""
    if not seconds.is_finite() or seconds.adjusted() > 10:
        return None
    return plausible_time(int(seconds * SECOND_US))


def documents_of(raw: bytes) -> list[bytes]:
    """Return the JSON documents of a frame: it is one, or one a line."""
    if b"\n" not in raw.strip():
        return [raw]
    try:
        _document.decode(raw)
        return [raw]
    except DECODE_ERRORS:
        return [line for line in raw.split(b"\n") if line.strip()]


def printable(text: str) -> str:
    """Return the text as one line that a record can hold, without our key, which a refusal may repeat."""
    line = without_secrets(" ".join("".join(char if char.isprintable() else " " for char in text).split()))
    return line[:MAX_REASON_CHARS] or "?"


def time_of(headers: Mapping[str, str]) -> int | None:
    """Return when an answer was made, in microseconds of whole seconds; None if it does not say."""
    try:
        date = parsedate_to_datetime(headers.get("Date", ""))
        at = micros_of(date.replace(tzinfo=date.tzinfo or UTC))
    except (ValueError, OverflowError):
        return None
    age = headers.get("Age", "")  # seconds in a cache, which may leave the Date as it was
    return plausible_time(at - (int(age) * SECOND_US if age.isascii() and age.isdecimal() and len(age) < 9 else 0))


def retry_after(headers: Mapping[str, str], default: float) -> float:
    """Return the seconds that an answer asks to wait, those of the default if it does not say."""
    sent = headers.get("Retry-After", "")
    return min(max(float(sent), 1.0), MAX_RETRY_S) if sent.isascii() and sent.isdecimal() else default


def trouble_of(answer: Answer, message: str | None, remedies: Mapping[int, str]) -> Trouble | None:
    """Return what an answer's HTTP status says is wrong, None if nothing is.

    message: what its body gives as the reason. remedies: what to do, by status, where the provider has more to say.
    """
    status = answer.status
    reason = printable(message or f"the provider answers HTTP {status}{' with a page of HTML' * is_html(answer)}")
    if status == 200:
        return None
    remedy = remedies.get(status, _REMEDIES.get(status, ""))
    if status in (403, 451):
        return Blocked(reason, remedy)
    if status == 401:
        return Unauthorized(reason, remedy)
    if status in (418, 429):
        banned = status == 418
        wait = retry_after(answer.headers, DEFAULT_BAN_S if banned else DEFAULT_RETRY_S)
        return RateLimited(wait, reason, banned, remedy)
    if 400 <= status < 500 and status != 408 and not is_html(answer):  # 408: it took too long
        return Refused(reason, time_of(answer.headers), remedy=remedy)
    return Unavailable(reason, remedy)


def handshake_remedy(status: int | None) -> str:
    """Return what to do about a socket that is refused with this HTTP status, "" if only the provider knows."""
    return _REMEDIES[status] if status in (418, 429, 451) else ""


def no_data(answer: Answer, message: str | None = None) -> Unavailable:
    """Return what to say of an answer with HTTP 200 whose body is not what was asked for."""
    if is_html(answer):
        return Unavailable("the provider answers HTTP 200 with a page of HTML", _HTML_REMEDY)
    return Unavailable(printable(message) if message else UNKNOWN_FORMAT)


def is_html(answer: Answer) -> bool:
    """Return whether the body is a page for people rather than data."""
    return answer.body.lstrip()[:1] == b"<"


_HTML_REMEDY = "Something between here and the provider answers for it: a proxy, a sign-in page, or its own firewall."
_REMEDIES = {
    401: "These data need no key: check that the host's setting names the provider's public address.",
    403: "The provider's firewall refuses this address: wait an hour, or use another network or another provider.",
    418: "The provider has banned this address for ignoring its limits: stop other programs that call it from here.",
    429: "Too many calls from this address: they continue by themselves; other programs on it count as well.",
    451: "The provider does not serve this region: use another provider for these markets.",
}
