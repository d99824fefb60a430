"""One candle series as JSON: the rows, and the certificate that says which of them are proven."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec

from datastore.api.params.times import to_ms
from datastore.api.responses.json_response import pack
from datastore.coverage.completeness import Amount, Completeness
from datastore.series.reader import Segment, Series
from datastore.series.row_format import COLUMNS, EXACT, NUMBERS

STREAM = "/api/v1/candles/stream"
# `numbers=float`: the same digits without quotes, not rounded to a float.
NUMBER_SHAPES = {"string": EXACT, "float": NUMBERS}
MINUTE_MS = 60_000


class BodyParts(NamedTuple):
    """The bytes of an answer around what changes from one second to the next: its times, and its cursor."""

    before: bytes
    between: bytes
    after: bytes

    def joined(self, series_id: str, version: int, server_time: int, watermark: int | None) -> bytes:
        """Return the whole answer with these times (ms) and the cursor made of them."""
        times = b'"server_time":%d,"watermark":%s,' % (server_time, msgspec.json.encode(watermark))
        cursor = pack(series_id, version, watermark).encode()
        return b"".join((self.before, times, self.between, cursor, self.after))


def candles_parts(series: Series, following: str | None = None, request: Any = None) -> BodyParts:
    """Return the answer of GET candles as JSON; following is the next page's address, request what brings the rest.

    The series must have been read in one of NUMBER_SHAPES.
    """
    fields = head_json(series)
    fields["coverage"] = [segment_json(segment) for segment in series.segments]
    fields["columns"] = COLUMNS
    fields["candles"] = msgspec.Raw(f"[{series.text}]".encode())
    fields["next"] = following
    fields["request"] = request

    # In the order of the fields: what precedes the times, what precedes the cursor, and the rest.
    names = list(fields)
    times, cursor = names.index("server_time"), names.index("cursor")
    groups = names[:times], names[times + 2 : cursor], names[cursor + 1 :]
    before, between, after = (msgspec.json.encode({name: fields[name] for name in group}) for group in groups)
    return BodyParts(before[:-1] + b",", between[1:-1] + b',"cursor":"', b'",' + after[1:])


def coverage_json(series: Series, following: str | None) -> dict[str, Any]:
    """Return the answer of GET coverage: the certificate alone, with totals.

    Totals are the milliseconds of each state that occurs and of each proof, the number of gaps and of quiet buckets.
    Completeness says how much of the range is there.
    """
    spans: dict[str, int] = {}
    proven: dict[str, int] = {}
    for segment in series.segments:
        length = to_ms(segment.stop) - to_ms(segment.start)
        spans[segment.state] = spans.get(segment.state, 0) + length
        if segment.proof is not None:
            proven[segment.proof] = proven.get(segment.proof, 0) + length
    return {
        **head_json(series),
        "coverage": [segment_json(segment) for segment in series.segments],
        "totals": {
            "milliseconds": spans,
            "proven": proven,
            "gaps": sum(segment.state == "gap" for segment in series.segments),
            "quiet": sum(segment.quiet for segment in series.segments),
        },
        "completeness": completeness_json(series.completeness),
        "next": following,
    }


def completeness_json(found: Completeness) -> dict[str, Any]:
    """Return how much of a range is there: buckets that have begun, days and percent, and why the rest is missing."""

    def shown(amount: Amount) -> dict[str, Any]:
        return {"buckets": amount.buckets, "days": amount.days, "percent": amount.percent_of(found.asked)}

    return {
        "asked": shown(found.asked),
        "proven": shown(found.proven),
        "pending": shown(found.pending),
        "missing": [
            {
                **shown(part.amount),
                "from": to_ms(part.start),
                "to": to_ms(part.stop),
                "final": part.final,
                "reason": part.reason,
                "code": part.code,
            }
            for part in found.missing
        ],
    }


def head_json(series: Series) -> dict[str, Any]:
    """Return what every answer about a series begins with; server_time and watermark, and cursor, in this order."""
    watermark = to_ms(series.watermark)
    return {
        "market": series.market,
        "timeframe": series.timeframe,
        "provider": series.provider or None,
        "simulated": series.simulated,
        "server_time": to_ms(series.server_time),
        "watermark": watermark,
        "version": series.version,
        # The place in the series' history that this answer shows: a stream of changes goes on from here.
        "cursor": pack(series.series_id, series.version, watermark),
        "stream_url": stream_url(series.market, series.timeframe),
        "complete": series.complete,
        "complete_until": to_ms(series.complete_until),
        "corrected": [one._asdict() for one in series.corrected],
    }


def stream_url(symbol: str, timeframe: str) -> str:
    """Return the address at which a series is followed; with `cursor` added, from that place on."""
    return f"{STREAM}?{urlencode({'market': symbol, 'timeframe': timeframe}, safe=':')}"


def segment_json(segment: Segment) -> dict[str, Any]:
    """Return one line of the certificate; quiet counts the buckets in which nothing was traded.

    repair: what is done about a gap: reason and its code, attempts, the time of the next one, whether it is given up.
    """
    repair = segment.repair
    if repair:
        next_try = repair["next_try"]
        repair = {**repair, "next_try": to_ms(datetime.fromisoformat(next_try)) if next_try else None}
    return {
        "from": to_ms(segment.start),
        "to": to_ms(segment.stop),
        "state": segment.state,
        "proof": segment.proof,
        "quiet": segment.quiet,
        "reason": segment.reason,
        "code": segment.code,
        "repair": repair,
    }


def etag(series: Series, *question: object) -> str:
    """Return what stays the same as long as the answer to the question does, server_time aside; hence weak.

    The minute of the provider's time is in it too: with a feed at rest, buckets still begin and become pending.
    """
    watermark = to_ms(series.watermark)
    minutes = None if watermark is None else watermark // MINUTE_MS, to_ms(series.server_time) // MINUTE_MS
    shown = (series.market, series.start, series.stop, series.series_id, series.version, *minutes, *question)
    return f'W/"{hashlib.sha256(repr(shown).encode()).hexdigest()[:32]}"'
