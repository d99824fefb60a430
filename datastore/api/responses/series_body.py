"""One candle series as JSON: the rows, and the certificate that says which of them are proven."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import msgspec

from datastore.api.params.times import ms, to_ms
from datastore.api.responses.json_response import pack
from datastore.series.reader import Segment, Series
from datastore.series.row_format import EXACT, NUMBERS

COLUMNS = ("time", "open", "high", "low", "close", "volume", "quote_volume", "trades", "source", "closed", "revision")
STREAM = "/api/v1/candles/stream"
# `numbers=float`: the same digits without quotes, not rounded to a float.
NUMBER_SHAPES = {"string": EXACT, "float": NUMBERS}


def candles_bytes(series: Series, following: str | None = None, request: Any = None) -> bytes:
    """Return the answer of GET candles as JSON; following is the next page's address, request what brings the rest.

    The series must have been read in one of NUMBER_SHAPES.
    """
    return msgspec.json.encode(
        {
            **head_json(series),
            "coverage": [segment_json(segment) for segment in series.segments],
            "columns": COLUMNS,
            "candles": msgspec.Raw(f"[{series.text}]".encode()),
            "next": following,
            "request": request,
        }
    )


def coverage_json(series: Series, following: str | None) -> dict[str, Any]:
    """Return the answer of GET coverage: the certificate alone, with totals."""
    return {
        **head_json(series),
        "coverage": [segment_json(segment) for segment in series.segments],
        "totals": totals(series.segments),
        "next": following,
    }


def head_json(series: Series) -> dict[str, Any]:
    """Return what every answer about a series begins with."""
    return {
        "market": series.market,
        "timeframe": series.timeframe,
        "provider": series.provider or None,
        "simulated": series.simulated,
        "server_time": to_ms(series.server_time),
        "watermark": ms(series.watermark),
        "version": series.version,
        "cursor": cursor(series),
        "stream_url": stream_url(series.market, series.timeframe),
        "complete": series.complete,
        "complete_until": ms(series.complete_until),
    }


def stream_url(symbol: str, timeframe: str) -> str:
    """Return the address at which a series is followed; `cursor` added to it, from the answer's own place on."""
    return f"{STREAM}?{urlencode({'market': symbol, 'timeframe': timeframe}, safe=':')}"


def segment_json(segment: Segment) -> dict[str, Any]:
    """Return one line of the certificate; quiet counts the buckets in which nothing was traded."""
    return {
        "from": to_ms(segment.start),
        "to": to_ms(segment.stop),
        "state": segment.state,
        "quiet": segment.quiet,
        "reason": segment.reason,
        "repair": repair_json(segment.repair) if segment.repair else None,
    }


def repair_json(repair: dict[str, Any]) -> dict[str, Any]:
    """Return what is done about a hole: reason, attempts, the time of the next one, whether it is given up."""
    again = repair["next_try"]
    return {**repair, "next_try": to_ms(datetime.fromisoformat(again)) if again else None}


def totals(segments: Iterable[Segment]) -> dict[str, Any]:
    """Return the milliseconds of each state that occurs, the number of gaps and of quiet buckets."""
    spans: dict[str, int] = {}
    gaps = quiet = 0
    for segment in segments:
        spans[segment.state] = spans.get(segment.state, 0) + to_ms(segment.stop) - to_ms(segment.start)
        gaps += segment.state == "gap"
        quiet += segment.quiet or 0
    return {"milliseconds": spans, "gaps": gaps, "quiet": quiet}


def cursor(series: Series) -> str:
    """Return the place in the series' history that this answer shows: what a stream of changes goes on from."""
    return pack(series.series_id, series.version, ms(series.watermark))


def etag(series: Series, *question: object) -> str:
    """Return what stays the same as long as the answer to the question does, server_time aside; hence weak.

    The minute of the provider's time is in it too: with a feed at rest, buckets still begin and become pending.
    """
    known = (series.series_id, series.version, _minute(series.watermark), _minute(series.server_time))
    digest = hashlib.sha256(repr((series.market, series.start, series.stop, *known, *question)).encode())
    return f'W/"{digest.hexdigest()[:32]}"'


def _minute(moment: datetime | None) -> int | None:
    return None if moment is None else to_ms(moment) // 60_000
