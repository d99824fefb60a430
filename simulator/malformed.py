"""Malformed candle answers, as a broken server or an empty store would give them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal

MalformedKind = Literal["text", "shape", "rows", "times", "zeros"]
LONG_AGO_S = 10**9  # seconds
NUMBERS = ("open", "high", "low", "close", "volumefrom", "volumeto")


def malformed_answer(kind: MalformedKind, envelope: str) -> str:
    """Return a malformed form of a candle answer: not JSON, no rows, or rows that are broken, too old or all zero."""
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


def _broken(number: int, row: dict[str, Any]) -> dict[str, Any]:
    """Break a row in one of three ways."""
    if number % 3 == 0:
        return {**row, "close": "much"}
    return {**row, "close": -1} if number % 3 == 1 else {**row, "high": row["low"], "low": row["high"] + 1}


CHANGES: dict[str, Callable[[int, dict[str, Any]], dict[str, Any]]] = {
    "rows": _broken,
    "times": lambda _, row: {**row, "time": row["time"] - LONG_AGO_S},
    "zeros": lambda _, row: {**row, **dict.fromkeys(NUMBERS, 0)},
}
