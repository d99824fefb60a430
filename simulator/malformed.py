"""Candle answers as a broken server, an empty store or a provider in trouble would give them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal

MalformedKind = Literal["text", "shape", "rows", "times", "zeros", "texts", "warning", "missing", "flat"]
LONG_AGO_S = 10**9  # seconds
WARNING = {"Message": "You are over your rate limit please upgrade your account!", "HasWarning": True, "Type": 101}
NO_MARKET = {
    "Response": "Error",
    "Message": "market does not exist for this coin pair",
    "HasWarning": False,
    "Type": 2,
    "RateLimit": {},
    "Data": {},
    "Cooldown": 0,
}
PRICES, VOLUMES = ("open", "high", "low", "close"), ("volumefrom", "volumeto")
NUMBERS = (*PRICES, *VOLUMES)


def malformed_answer(kind: MalformedKind, envelope: str, is_sent: Callable[[int], bool] = lambda _: True) -> str:
    """Return another form of a candle answer.

    Not JSON, no rows, rows that are broken, too old, all zero, flat without volume or whose times are text; all rows
    with a warning of the rate limit; or that the market does not exist. `is_sent`: whether trades of a row (by its
    start in seconds) were sent; only these are made flat, for of others nobody could know better.
    """
    if kind == "text":
        return "<html>502 Bad Gateway</html>"
    if kind == "missing":
        return json.dumps(NO_MARKET)
    if kind == "warning":
        return json.dumps({**json.loads(envelope), **WARNING})
    answer = json.loads(envelope)
    if kind == "shape":
        return json.dumps({**answer, "Data": {"Data": "soon"}})
    found = answer["Data"]
    rows = found["Data"] if isinstance(found, dict) else found
    change = CHANGES[kind]
    rows[:] = [
        change(number, row) if kind != "flat" or is_sent(row["time"]) else row for number, row in enumerate(rows)
    ]
    return json.dumps(answer)


def _broken(number: int, row: dict[str, Any]) -> dict[str, Any]:
    """Break a row in one of three ways."""
    if number % 3 == 0:
        return {**row, "close": "much"}
    return {**row, "close": -1} if number % 3 == 1 else {**row, "high": row["low"], "low": row["high"] + 1}


CHANGES: dict[str, Callable[[int, dict[str, Any]], dict[str, Any]]] = {
    "rows": _broken,
    "times": lambda _, row: {**row, "time": row["time"] - LONG_AGO_S},
    "texts": lambda number, row: {**row, "time": str(row["time"]) if number % 2 else float(row["time"])},
    "flat": lambda _, row: {**row, **dict.fromkeys(PRICES, row["close"]), **dict.fromkeys(VOLUMES, 0)},
    "zeros": lambda _, row: {**row, **dict.fromkeys(NUMBERS, 0)},
}
