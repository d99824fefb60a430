"""Counters of many processes: real processes, real files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from metering.sharing import FILE_BYTES, collect_counters, reset_counters
from tests.support.counting_process import COUNT, finish, process, said

pytestmark = pytest.mark.slow


def sample(folder: Path, name: str) -> float:
    return sum(one.value for metric in collect_counters(folder) for one in metric.samples if one.name == name)


def test_what_several_processes_count_is_one_sum_and_each_has_files_of_its_own(tmp_path: Path) -> None:
    started = [process(tmp_path, count) for count in (3, 4)]
    assert [said(one) for one in started] == [["None", "counted"]] * 2
    assert sample(tmp_path, "candlekeep_trades_stored_total") == 7
    assert sample(tmp_path, "candlekeep_batch_records_count") == 2
    assert sorted(path.name for path in tmp_path.glob("counter_*")) == ["counter_slot0.db", "counter_slot1.db"]
    finish(*started)


def test_a_process_that_comes_after_a_killed_one_goes_on_counting_in_its_files(tmp_path: Path) -> None:
    for count in (3, 4, 5):
        started = process(tmp_path, count)
        assert said(started) == ["None", "counted"]
        started.kill()
        finish(started)
    assert sample(tmp_path, "candlekeep_trades_stored_total") == 12
    assert len(list(tmp_path.glob("*.db"))) == 2, "restarts must not pile up files"


def test_a_fork_takes_a_slot_of_its_own(tmp_path: Path) -> None:
    code = COUNT.replace(
        'print("counted"', 'import os\nif not os.fork(): TRADES_STORED.labels("x").inc(1); os._exit(0)\n'
    )
    code = code.replace(", flush=True)\nsys.stdin", "os.wait(); print('counted', flush=True)\nsys.stdin")
    started = process(tmp_path, 1, code)
    assert said(started) == ["None", "counted"]
    finish(started)
    assert sample(tmp_path, "candlekeep_trades_stored_total") == 2
    assert (tmp_path / "counter_slot1.db").exists()


def test_files_have_their_room_from_the_start(tmp_path: Path) -> None:
    started = process(tmp_path, 1)
    said(started)
    # On a full disk a hole in a mapped file would kill the process at the moment it counts.
    assert all(path.stat().st_blocks * 512 >= FILE_BYTES for path in tmp_path.glob("*.db"))
    finish(started)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_costs_the_sharing_and_not_the_process(tmp_path: Path) -> None:
    for kind in ("counter", "histogram"):
        (tmp_path / f"{kind}_slot0.draft").symlink_to("/dev/full")
    started = process(tmp_path, 1)
    first, second = said(started)
    assert "No space left" in first and second == "counted"
    finish(started)
    assert started.returncode == 0
    assert not list(tmp_path.glob("*.db"))


def test_a_folder_that_cannot_be_written_costs_the_sharing_and_not_the_process(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    started = process(tmp_path / "file" / "metrics", 1)
    first, second = said(started)
    assert "Not a directory" in first and second == "counted"
    finish(started)


def test_counts_that_a_crash_of_the_machine_tore_are_begun_anew(tmp_path: Path) -> None:
    started = process(tmp_path, 1)
    said(started)
    finish(started)
    torn = tmp_path / "counter_slot0.db"
    with torn.open("r+b") as file:
        file.seek(8)
        file.write(os.urandom(200))
    again = process(tmp_path, 2)
    assert said(again) == ["None", "counted"]
    finish(again)
    assert sample(tmp_path, "candlekeep_trades_stored_total") == 2


def test_a_start_begins_at_zero(tmp_path: Path) -> None:
    started = process(tmp_path, 3)
    said(started)
    finish(started)
    reset_counters(tmp_path)
    assert list(collect_counters(tmp_path)) == []
