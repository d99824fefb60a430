"""The client's reading of a stream: whole versions, in any pieces, and what follows a lost connection."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from typing import Any

import httpx
import pytest
from candlekeep_client import (
    AccessDenied,
    CandleChanged,
    CandleRemoved,
    Candles,
    GapChanged,
    Refused,
    Snapshot,
    Unreachable,
    Update,
    WatermarkMoved,
)
from candlekeep_client.following import Place
from candlekeep_client.updates import EventReader
from hypothesis import given
from hypothesis import strategies as st

ROW: list[Any] = [1_700_000_040_000, "7.50", "8", "7", "7", "1", "7", 1, "live", False, 0]
GAP = {"from": 0, "to": 60_000, "state": "live", "proof": "ids", "reason": None, "code": None, "repair": None}

HEAD = {
    "market": "m", "timeframe": "1m", "provider": None, "simulated": False, "server_time": 0, "watermark": None,
    "version": 1, "cursor": "c", "complete": True, "complete_until": None,
}  # fmt: skip


def event(name: str, data: Any, id: str | None = None) -> bytes:
    return f"{f'id: {id}{chr(10)}' if id else ''}event: {name}\ndata: {json.dumps(data)}\n\n".encode()


STREAM = b"".join(
    (
        b"retry: 2500\n\n",
        event("candle", ROW, "v1"),
        b": still here\n\n",
        event("candle", [ROW[0] + 60_000, *ROW[1:]]),
        event("something new", {}),
        event("candle", [*ROW[:7], 0, *ROW[8:]]),
        event("gap", GAP, "v2"),
        event("candle", [*ROW[:9], True, 1]),
        event("watermark", {"watermark": 1_700_000_100_000, "version": 9}, "v3"),
        event("candle", ROW),  # its version has not ended
    )
)
KINDS = [CandleChanged, CandleChanged, CandleRemoved, GapChanged, CandleChanged, WatermarkMoved]


def read(chunks: list[bytes]) -> tuple[EventReader, list[Update]]:
    reader = EventReader()
    return reader, [update for chunk in chunks for update in reader.feed(chunk)]


@given(st.lists(st.integers(0, len(STREAM)), max_size=30))
def test_updates_do_not_depend_on_how_the_bytes_are_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    reader, updates = read([STREAM[low:high] for low, high in pairwise(edges)])
    assert [type(update) for update in updates] == KINDS, "and what has no id yet is held back"
    assert [update.cursor for update in updates] == ["v1", None, None, "v2", None, "v3"]
    assert reader.retry_s == 2.5
    assert updates == read([STREAM.replace(b"\n", b"\r\n")])[1]


def test_updates_are_typed() -> None:
    first, _, removed, gap, closed, watermark = read([STREAM])[1]
    assert isinstance(first, CandleChanged) and str(first.candle.open) == "7.50" and not first.candle.closed
    assert isinstance(removed, CandleRemoved) and removed.time == first.candle.time
    assert isinstance(gap, GapChanged) and not gap.segment.is_gap and gap.segment.proof == "ids"
    assert isinstance(closed, CandleChanged) and closed.candle.closed and closed.candle.revision == 1
    assert isinstance(watermark, WatermarkMoved) and watermark.watermark and watermark.version == 9


def answer(status: int, body: Any = None, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=body or {"detail": "why"}, headers=headers)


def place(patience: float | None = None) -> Place:
    return Place("coinbase:BTC-USD", "1m", patience=patience)


def test_the_next_connection_begins_behind_what_was_shown_and_not_behind_what_was_only_read() -> None:
    here = place()
    assert "Last-Event-ID" not in here.headers
    here.connected(answer(200))
    shown = here.taken(STREAM)
    next(shown)
    assert "Last-Event-ID" not in here.headers, "the first update is only being shown"
    next(shown)
    assert here.headers["Last-Event-ID"] == "v1"
    list(shown)
    assert here.headers["Last-Event-ID"] == "v3"
    here.connected(answer(200))
    again = [type(update) for update in here.taken(STREAM)]
    assert again == [CandleChanged, CandleRemoved, GapChanged, CandleChanged, WatermarkMoved]


def test_a_candle_that_comes_again_in_the_same_state_is_shown_once() -> None:
    here = place()
    block = event("candle", ROW, "v1") + event("candle", ROW, "v2") + event("candle", [*ROW[:7], 0, *ROW[8:]], "v3")
    assert [update.cursor for update in here.taken(block + block[-len(block) // 3 :])] == ["v1", "v3"]
    assert here.cursor == "v3"
    known = Candles.of([{**HEAD, "coverage": [], "candles": [ROW]}])
    here = Place("coinbase:BTC-USD", "1m", known)
    assert here.params["cursor"] == "c"
    changed = event("candle", ROW, "v1") + event("candle", [*ROW[:-1], 7], "v2")
    assert [update.cursor for update in here.taken(changed)] == ["v2"]


def test_what_passes_is_tried_again_later_and_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, high: high)
    here = place()
    list(here.taken(b"retry: 2000\n\n"))
    assert [here.pause_after(Unreachable("away")) for _ in range(5)] == [2, 4, 8, 15, 15]
    list(here.taken(b": still here\n\n"))
    assert here.pause_after(None) == 2, "an end is a loss like any other"
    with pytest.raises(Refused, match="503: why") as raised:
        here.connected(answer(503, **{"Retry-After": "40"}))
    assert here.pause_after(raised.value) == 40


@pytest.mark.parametrize(("status", "kind"), [(400, Refused), (401, AccessDenied), (409, Refused)])
def test_what_does_not_pass_ends_it(status: int, kind: type[Refused]) -> None:
    here = place()
    with pytest.raises(kind) as raised:
        here.connected(answer(status))
    with pytest.raises(kind):
        here.pause_after(raised.value)


def test_patience_counts_from_the_first_failure_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("candlekeep_client.following.monotonic", lambda: now[0])
    here = place(patience=10)
    for at in (100, 110):
        now[0] = at
        assert here.pause_after(Unreachable("away")) > 0
    list(here.taken(b": still here\n\n"))
    now[0] = 150
    assert here.pause_after(None) > 0
    now[0] = 161
    with pytest.raises(Unreachable, match="The stream ends again and again"):
        here.pause_after(None)


def test_a_page_that_is_no_problem_of_ours_is_shown_in_short() -> None:
    with pytest.raises(Refused, match="502: <html>bad gateway") as raised:
        place().connected(httpx.Response(502, text="<html>bad gateway" + "x" * 9000))
    assert raised.value.passes and len(str(raised.value)) < 300


def test_a_snapshot_has_candles_and_the_reason() -> None:
    body = {**HEAD, "coverage": [], "candles": [ROW], "reason": "the cursor is ahead of what is stored here"}
    (update,) = read([event("snapshot", body, "v5")])[1]
    assert isinstance(update, Snapshot) and update.cursor == "v5" and update.reason == body["reason"]
    assert len(update.candles) == 1 and update.candles.certificate.watermark is None
