"""The log of what was sent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simulator.sent import SentLog
from tests.support.full_disk import full, small_disk


def test_lines_are_in_the_file_when_write_returns(tmp_path: Path) -> None:
    log = SentLog(tmp_path)
    log.note("opened", socket=1)
    log.write(['{"event":"trade"}', '{"event":"trade"}'])
    lines = (tmp_path / "sent.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["opened", "trade", "trade"]
    log.close()


def test_a_restart_appends(tmp_path: Path) -> None:
    for _ in range(2):
        log = SentLog(tmp_path)
        log.note("started")
        log.close()
    assert (tmp_path / "sent.jsonl").read_text() == '{"event":"started"}\n' * 2


def test_a_full_log_is_put_aside_whole(tmp_path: Path) -> None:
    log = SentLog(tmp_path, limit=100)
    for number in range(10):
        log.note("trade", number=number)
    log.close()
    older, newer = (tmp_path / "sent.jsonl.1").read_text(), (tmp_path / "sent.jsonl").read_text()
    numbers = [json.loads(line)["number"] for line in (older + newer).splitlines()]
    assert numbers == list(range(numbers[0], 10)) and len(newer) <= 130


@pytest.mark.slow
def test_lines_for_which_there_is_no_room_are_left_out_whole_and_counted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with small_disk(tmp_path / "disk", 1) as folder:
        log = SentLog(folder)
        log.note("before")
        with full(folder):
            for number in range(3):
                log.write([json.dumps({"event": "trade", "number": number, "filling": "x" * 10_000})])
        log.note("after")
        log.close()
        events = [json.loads(line) for line in (folder / "sent.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events] == ["before", "unlogged", "after"]
    assert events[1]["lines"] == 3
    said = capfd.readouterr().err.splitlines()
    assert ["cannot be written: No space left on device" in line for line in said] == [True, False]
    assert said[1].endswith("is written again; 3 lines are missing")
