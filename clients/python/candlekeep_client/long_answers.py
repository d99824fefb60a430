"""A range that takes several pages of JSON, as one answer of one snapshot: a stream of Arrow.

It is asked for where pyarrow is installed on both sides. Its rows and its certificate become those of the JSON.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Sequence
from decimal import Decimal
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from candlekeep_client.tables import METADATA_KEY

LENGTHS_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}  # a month has none
PROVEN = ("live", "provider", "merged")
UNDER_WAY = "Candlekeep-Request"  # the header that names a running fetch


def is_readable(timeframe: str) -> bool:
    """Return whether a long answer of this timeframe can be read here."""
    return timeframe[-1:] in LENGTHS_MS and find_spec("pyarrow") is not None


def answer_of(body: bytes) -> dict[str, Any] | None:
    """Return the answer in a stream of Arrow as JSON would have it, without a next page; None if it is broken off."""
    arrow = import_module("pyarrow")
    try:
        table = arrow.ipc.open_stream(body).read_all()
    except (arrow.ArrowInvalid, OSError):
        return None
    answer: dict[str, Any] = json.loads(table.schema.metadata[METADATA_KEY.encode()])
    columns = [_cells(arrow, column) for column in table.columns]
    times, timeframe = columns[0], answer["timeframe"]
    length = int(timeframe[:-1]) * LENGTHS_MS[timeframe[-1]]
    for segment in answer["coverage"]:
        rows = bisect_left(times, segment["to"]) - bisect_left(times, segment["from"])
        buckets = (segment["to"] - segment["from"]) // length
        segment["quiet"] = buckets - rows if segment["state"] in PROVEN else 0
    return {**answer, "candles": list(zip(*columns, strict=True)), "next": None}


def _cells(arrow: Any, column: Any) -> Sequence[Any]:
    """Return a column's cells as JSON has them: times in milliseconds, decimals as text without needless zeros."""
    if arrow.types.is_timestamp(column.type):
        return list(column.cast(arrow.int64()).to_pylist())
    if not arrow.types.is_decimal(column.type):
        return list(column.to_pylist())
    return [text and _plain(text) for text in column.cast(arrow.string()).to_pylist()]


def _plain(text: str) -> str:
    """Return a decimal without an exponent and without zeros behind its last digit."""
    if "E" in text:
        text = f"{Decimal(text):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
