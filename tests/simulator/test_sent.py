"""The log of what was sent."""

from __future__ import annotations

import json
from pathlib import Path

from simulator.sent import SentLog


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
