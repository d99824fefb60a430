"""Bars as the charting library reads them, in columns; and the marks of what is not proven or was corrected."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from datastore.coverage.segments import Segment
from datastore.series.reader import Series
from datastore.series.row_format import Shape
from datastore.timeframes.intervals import micros_of

# Time in seconds, open, high, low, close, volume: the digits of GET candles. The further cells are left out.
BAR = Shape("%s,%s,%s,%s,%s,%s", "", "", "\n")
COLUMNS = ("t", "o", "h", "l", "c", "v")
RED, ORANGE, BLUE = "#d64545", "#e08a1e", "#2f6fde"
MAX_MARKS = 500  # of one answer, the newest


def bars_body(rows: Sequence[str]) -> bytes:
    """Return the answer with these rows, which are of the shape BAR."""
    columns = zip(*(row.split(",") for row in rows), strict=True)
    parts = (f'"{name}":[{",".join(cells)}]' for name, cells in zip(COLUMNS, columns, strict=True))
    return f'{{"s":"ok",{",".join(parts)}}}'.encode()


def no_bars_body(before: datetime | None) -> bytes:
    """Return the answer without a bar; before: when the newest bar before the range begins, None if none does."""
    answer: dict[str, Any] = {"s": "no_data"}
    if before is not None:
        answer["nextTime"] = _seconds(before)
    return msgspec.json.encode(answer)


def bar_marks(series: Series) -> list[dict[str, Any]]:
    """Return a mark at the first bar in or behind each gap, and at each bar that was corrected after it was closed.

    The library shows a mark only where a bar begins.
    """
    times = [row[0] // 1000 for row in series.rows]
    marks = []
    for segment in series.segments:
        start = _seconds(segment.start)
        if segment.incomplete and (index := bisect_left(times, start)) < len(times):
            marks.append(_mark(f"gap-{start}", times[index], RED, "G", _gap_text(segment)))
    marks += [_corrected(*one) for one in series.corrected]
    return sorted(marks, key=lambda mark: mark["time"])[-MAX_MARKS:]


def timescale_marks(segments: Iterable[Segment]) -> list[dict[str, Any]]:
    """Return a mark on the time axis at the start of each gap."""
    return [
        {
            "id": f"gap-{_seconds(segment.start)}",
            "time": _seconds(segment.start),
            "color": RED if segment.state == "gap" else ORANGE,
            "label": "G",
            "tooltip": [_gap_text(segment)],
        }
        for segment in segments
        if segment.incomplete
    ][-MAX_MARKS:]


def _corrected(time_ms: int, changes: int) -> dict[str, Any]:
    at, times = time_ms // 1000, "once" if changes == 1 else f"{changes} times"
    return _mark(f"corrected-{at}-{changes}", at, BLUE, "C", f"Corrected {times} after it was closed.")


def _mark(name: str, at: int, color: str, label: str, text: str) -> dict[str, Any]:
    return {
        "id": name,
        "time": at,
        "color": color,
        "text": text,
        "label": label,
        "labelFontColor": "#ffffff",
        "minSize": 14,
    }


def _gap_text(segment: Segment) -> str:
    span = f"{segment.start:%Y-%m-%d %H:%M} to {segment.stop:%Y-%m-%d %H:%M} UTC"
    why = f": {segment.reason}" if segment.reason else ""
    kind = "Nothing is proven" if segment.state == "gap" else "Not all trades are proven"
    return f"{kind} from {span}{why}."


def _seconds(time: datetime) -> int:
    return micros_of(time) // 1_000_000
