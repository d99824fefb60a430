"""Candles as no client should take them: what a broken server or an emptied store would answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal

MalformedKind = Literal["text", "shape", "rows", "times", "zeros"]
LONG_AGO_S = 10**9  # seconds
NUMBER_FIELDS = ("open", "high", "low", "close", "volumefrom", "volumeto")


def malform(kind: MalformedKind, envelope: str) -> str:
    """Write a candle answer anew: no JSON, no rows, or rows that are torn, of another age, or emptied."""
    if kind == "text":
        return "<html>502 Bad Gateway</html>"
    answer = json.loads(envelope)
    if kind == "shape":
        return json.dumps({**answer, "Data": {"Data": "soon"}})
    found = answer["Data"]
    rows = found["Data"] if isinstance(found, dict) else found
    change = CHANGES[kind]
    rows[:] = [change(number, row) for number, row in enumerate(rows)]
    return json.dumps(answer)


def _torn(number: int, row: dict[str, Any]) -> dict[str, Any]:
    """Break a row in one of three ways."""
    if number % 3 == 0:
        return {**row, "close": "much"}
    return {**row, "close": -1} if number % 3 == 1 else {**row, "high": row["low"], "low": row["high"] + 1}


def _long_ago(_: int, row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "time": row["time"] - LONG_AGO_S}


def _emptied(_: int, row: dict[str, Any]) -> dict[str, Any]:
    return {**row, **dict.fromkeys(NUMBER_FIELDS, 0)}


CHANGES: dict[str, Callable[[int, dict[str, Any]], dict[str, Any]]] = {
    "rows": _torn,
    "times": _long_ago,
    "zeros": _emptied,
}
