"""The pure part: a market's history drawn at random, readers who are slow, late, or cut off after any event."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.sse.backlog import MAX_WAITING_ITEMS, Backlog, Overflow
from datastore.sse.cursor import (
    CURSOR_AHEAD,
    FEED_WAS_UNKNOWN,
    OTHER_HISTORY,
    TOO_FAR_BEHIND,
    Cursor,
    ReadTime,
    read_cursor,
    refusal,
)
from datastore.sse.delta import Delta, Gap, Row, events_of, merge_near
from datastore.sse.messages import block_of, open_times, text_of, tombstone
from tests.support.examples import examples
from tests.support.sse.event_log import ClientSeries, Reader, StreamEvent

SERIES = "s"


@dataclass
class History:
    """What a database would know: every candle's states by the version that made them, and which time has closed."""

    version: int = 0
    watermark: int = 0
    rows: dict[int, tuple[int, int]] = field(default_factory=dict)  # version and price by open time

    def change(self, opens: list[int], price: int) -> None:
        self.version += 1
        self.rows |= dict.fromkeys(opens, (self.version, price))

    @property
    def place(self) -> Cursor:
        return Cursor(SERIES, self.version, self.watermark)

    @property
    def read_at(self) -> ReadTime:
        return ReadTime(self.version, self.watermark, self.watermark)

    def row(self, at: int) -> Row:
        version, price = self.rows[at]
        closed = at < self.watermark
        text = (
            json.dumps([at, *[str(price)] * 6, 1, "live", closed, version])
            if price
            else tombstone(at, "live", closed, 0)
        )
        return Row(at, text, version)

    def since(self, cursor: Cursor) -> Delta:
        """Return what a reader at a cursor lacks, as the database would."""
        assert cursor.watermark is not None
        rows = []
        for at in self.rows:
            row = self.row(at)
            if row.version is not None and row.version > cursor.version:
                rows.append(row)
            elif at >= cursor.watermark:
                rows.append(Row(at, row.text))
        holes = [
            Gap(at, at + 1, "{}", row[0]) for at, row in self.rows.items() if row[0] > cursor.version and at % 7 == 0
        ]
        return Delta(cursor, self.place, self.read_at, rows, holes)

    def shown(self) -> dict[int, Any]:
        return {at: json.loads(self.row(at).text) for at, (_, price) in self.rows.items() if price}


opens = st.lists(st.integers(0, 6), min_size=1, max_size=4, unique=True)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("change"), opens, st.integers(0, 9)),
        st.tuples(st.just("change"), opens, st.integers(0, 9)),
        st.tuples(st.just("pass_"), st.integers(1, 3)),
        st.tuples(st.just("take"), st.one_of(st.none(), st.none(), st.integers(0, 8))),
        st.tuples(st.just("come")),
    ),
    max_size=40,
)


class Following:
    """A market whose every change is published, and one reader, who has an outbox."""

    def __init__(self) -> None:
        self.history, self.backlog = History(), Backlog()
        self.published, self.known = self.history.place, self.history.read_at
        self.series = ClientSeries(watermark=0, cursor=self.published.text)

    def change(self, opens: list[int], price: int) -> None:
        self.history.change(opens, price)
        self.publish()

    def pass_(self, time: int) -> None:
        self.history.watermark += time
        self.publish()

    def publish(self) -> None:
        delta = self.history.since(self.published)
        self.published = delta.upto
        self.backlog.put(block_of(delta))

    def take(self, most: int | None = None) -> None:
        """Take what waits; most: of so many events, then the connection is lost."""
        taken = self.backlog.take(self.known)
        if taken is not None:
            self.known, text = taken
            self.read(text, most)
            if most is not None:
                self.come()

    def come(self) -> None:
        """Come with the last id: what was published since it registered waits already, and may be older."""
        cursor = read_cursor(str(self.series.cursor))
        assert cursor is not None
        block = block_of(self.history.since(cursor))
        self.known = block.read_at
        self.read(block.whole)

    def read(self, text: bytes, most: int | None = None) -> None:
        for told in list(Reader().feed(text))[:most]:
            expect_no_step_back(self.series, told)
            self.series.take(told)


@examples(300)
@given(steps)
def test_slow_and_interrupted_readers_end_with_what_the_history_shows(drawn: list[Any]) -> None:
    following = Following()
    for name, *values in drawn:
        getattr(following, name)(*values)
    following.take()
    assert following.series.rows == following.history.shown()
    assert following.series.cursor == following.history.place.text


def expect_no_step_back(series: ClientSeries, told: StreamEvent) -> None:
    if told.name == "candle" and told.data[0] in series.rows and told.data[7]:
        assert series.rows[told.data[0]][10] <= told.data[10], "older after newer"


@given(steps)
def test_only_the_last_event_of_a_version_has_an_id_and_the_watermark_comes_behind_what_it_closes(
    drawn: list[Any],
) -> None:
    history = History()
    for name, *values in drawn:
        if name == "change":
            history.change(*values)
        elif name == "pass_":
            history.watermark += values[0]
    delta = history.since(Cursor(SERIES, 0, 0))
    events = events_of(delta)
    versions = [getattr(event.what, "version", None) for event in events if not isinstance(event.what, Cursor)]
    told = [version for version in versions if version is not None]
    assert told == sorted(told)
    assert versions[len(told) :] == [None] * (len(versions) - len(told))  # what time has closed comes behind
    with_id = [(event, event.id) for event in events if event.id is not None]
    assert [at.version for event, at in with_id if event.what is not delta.upto] == sorted(set(told))
    assert all(at.watermark == 0 for event, at in with_id if not isinstance(event.what, Cursor))
    if delta.upto != delta.since:
        assert with_id[-1][1] == delta.upto
        assert events[-1].what == delta.upto or history.watermark == 0


def test_too_much_for_one_reader_is_an_overflow_that_leaves_nothing() -> None:
    outbox, place = Backlog(), Cursor(SERIES, 1, 0)
    rows = [Row(at, f"[{at},0]", 1) for at in range(MAX_WAITING_ITEMS)]
    outbox.put(block_of(Delta(place, place, ReadTime(1, 0, 0), rows)))
    with pytest.raises(Overflow):
        outbox.put(block_of(Delta(place, place, ReadTime(2, 0, 0), [Row(MAX_WAITING_ITEMS, "[9,0]", 2)])))
    assert not outbox
    assert outbox.take(ReadTime(0, 0, 0)) is None


def test_what_a_reader_knows_already_is_not_sent_again() -> None:
    outbox, place = Backlog(), Cursor(SERIES, 5, 0)
    outbox.put(block_of(Delta(place, place, ReadTime(5, 0, 1), [Row(1, "[1,0]", 5)])))
    assert outbox.take(ReadTime(5, 0, 1)) is None
    assert outbox.take(ReadTime(0, 0, 0)) is None, "it was taken out"


@pytest.mark.parametrize(
    ("cursor", "reason"),
    [
        (Cursor(SERIES, 20_000, 100), None),
        (Cursor(SERIES, 10_000, 100), None),
        (Cursor(SERIES, 9_999, 100), TOO_FAR_BEHIND),
        (Cursor("other", 20_000, 100), OTHER_HISTORY),
        (Cursor(SERIES, 20_001, 100), CURSOR_AHEAD),
        (Cursor(SERIES, 20_000, 101), CURSOR_AHEAD),
        (Cursor(SERIES, 20_000, None), FEED_WAS_UNKNOWN),
    ],
)
def test_a_cursor_is_honoured_or_refused_with_a_reason(cursor: Cursor, reason: str | None) -> None:
    assert refusal(cursor, Cursor(SERIES, 20_000, 100)) == reason
    assert read_cursor(cursor.text) == cursor


@pytest.mark.parametrize("text", ["", "nonsense", "WzFd", "WyJhIiwiYiIsMV0", "ü"])
def test_what_is_no_cursor_is_none(text: str) -> None:
    assert read_cursor(text) is None


def test_events_are_read_as_they_were_written() -> None:
    place = Cursor(SERIES, 3, 9)
    rows = [Row(60, '[60,"1"]', 3), Row(0, '[0,"2"]', 3)]
    (first, second) = events_of(Delta(Cursor(SERIES, 2, 9), place, ReadTime(3, 9, 9), rows))
    assert text_of(first) == b'event: candle\ndata: [0,"2"]\n\n'
    assert text_of(second) == f'id: {place.text}\nevent: candle\ndata: [60,"1"]\n\n'.encode()
    assert open_times([row.text for row in rows]) == [60, 0]


def test_stretches_that_lie_near_become_one() -> None:
    assert merge_near([(10, 11), (0, 5), (3, 4), (13, 14)], near=2) == [(0, 5), (10, 14)]
