from __future__ import annotations

import re

from benchmarks.latency import STAGES, Watch, report
from benchmarks.latency_parts import FRAME_ID, WIRE_ID, newest

MS = 1_000_000
MINUTE = 1_800_000_000_000  # ms
SENT = {number: MINUTE * MS + number * 10 * MS for number in range(1, 101)}


def test_each_stage_says_how_long_after_it_was_sent_a_trade_passed_and_how_long_after_the_stage_before() -> None:
    # In batches of four: a trade has passed with the newest one of its batch.
    noted = {
        stage: [(SENT[last] + (place + 1) * 5 * MS, last) for last in range(4, 101, 4)]
        for place, stage in enumerate(STAGES)
    }
    watch = Watch()
    watch.api = [(SENT[last] + 40 * MS, MINUTE, last) for last in range(4, 101, 4)]
    watch.follower = [(SENT[last] + 30 * MS, MINUTE, last) for last in range(4, 101, 4)]
    head, _, *lines = report(SENT, noted, watch, (SENT[1], SENT[100]))
    assert "99 of one" in head  # the last one was sent at the end of the span
    expected = [(35, 35), (40, 5), (45, 5), (50, 5), (55, 5), (70, 15), (60, 5)]
    for line, (since_sent, step) in zip(lines, expected, strict=True):
        assert [int(word) for word in re.findall(r"p99 (\d+)", line)] == [since_sent, step]


def test_a_trade_is_shown_when_its_candle_holds_as_many_as_came_until_it() -> None:
    sent = {1: 59_990 * MS, 2: 59_995 * MS, 3: 60_005 * MS}  # two of one minute, one of the next
    noted = {stage: [(61_000 * MS, 3)] for stage in STAGES}
    watch = Watch()
    watch.api = watch.follower = [(60_000 * MS, 0, 1), (60_100 * MS, 0, 2), (60_200 * MS, 60_000, 1)]
    lines = list(report(sent, noted, watch, (0, 70_000 * MS)))
    assert "3 of one" in lines[0]
    assert "105, p99" in lines[-1]  # the middle one of 10, 105 and 195 ms


def test_the_newest_id_is_found_in_frames_and_in_records() -> None:
    assert newest([b'{"ID":"7"}', b'{"ID":"12"}', b'{"TYPE":"999"}'], FRAME_ID) == 12
    assert newest([b'{"type":"trade","id":"5"}'], WIRE_ID) == 5
    assert newest([], WIRE_ID) == 0
