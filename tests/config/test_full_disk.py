"""Writes of bookkeeping to a disk that is full or read-only: said once, caught up with, and no reason to end."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from actor_runtime.stop_event import StopEvent
from config import disk
from config.database.base import WatchedConnection
from config.secret_files import replace_text
from config.supervision import leftovers
from config.supervision.child import PATIENT_DELAY_S
from config.supervision.disk_watch import CHECK_AGAIN_S, DiskWatch
from config.supervision.errors import StartError
from config.supervision.home import check_writable
from config.supervision.launch import Launch
from config.supervision.output import Output
from config.supervision.supervisor import Supervisor
from metering.sharing import share_counters
from tests.support.config.children import FOREVER, program
from tests.support.full_disk import full, remount, small_disk
from tests.support.polling import until

pytestmark = [pytest.mark.timeout(120), pytest.mark.slow]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Make a data folder on a disk of 4 MB."""
    with small_disk(tmp_path / "disk", 4) as folder:
        check_writable(folder / "home")
        yield folder / "home"


@pytest.fixture
def said() -> list[str]:
    return []


def test_a_folder_says_why_it_takes_no_file(home: Path) -> None:
    assert disk.write_refusal(home) is None
    with full(home.parent):
        assert disk.write_refusal(home) == "No space left on device"
    remount(home.parent, "ro")
    assert disk.write_refusal(home) == "Read-only file system"
    remount(home.parent, "rw")
    assert disk.write_refusal(home) is None


def test_a_failed_write_leaves_no_draft_behind(home: Path) -> None:
    with full(home.parent):
        with pytest.raises(OSError, match="No space left"):
            replace_text(home / "run" / "ports.json", "x" * 100_000)
        assert list((home / "run").iterdir()) == []


def test_a_start_on_a_full_disk_is_refused_with_what_to_do(home: Path) -> None:
    with full(home.parent), pytest.raises(StartError, match=r"home cannot be written: No space left .* Make room"):
        check_writable(home)


def test_a_log_leaves_lines_out_while_the_disk_is_full_and_says_how_many(home: Path) -> None:
    failed: list[OSError] = []
    output = Output("web", home / "log" / "web.log", None, failed.append)
    output.line("before")
    with full(home.parent):
        # What is left of the file's last block may still take a few.
        until("a line is refused", lambda: output.line("x" * 1000) or failed)
        refused = len(failed)
        output.line("one more")
        assert len(failed) == refused + 1
    output.line("after")
    output.line("and on")
    output.close()
    lines = (home / "log" / "web.log").read_text().splitlines()
    assert lines[0] == "before"
    assert lines[-3:] == [f"[{len(failed)} lines are missing here: the disk took none]", "after", "and on"]
    assert failed[0].errno == errno.ENOSPC


def test_a_supervisor_goes_on_while_its_note_and_its_logs_cannot_be_written(home: Path, said: list[str]) -> None:
    supervisor = Supervisor(home, said.append, StopEvent())
    try:
        with full(home.parent):
            child = supervisor.add(program(FOREVER))
            until("it speaks", lambda: supervisor.tick() or child.output.last)
            assert child.alive and supervisor.disk.reason == "No space left on device"
        until("it is over", lambda: supervisor.tick() or supervisor.disk.reason is None)
        assert child.process
        until("it is noted", lambda: supervisor.tick() or (home / "run" / "children.json").exists())
        assert str(child.process.pid) in (home / "run" / "children.json").read_text()
    finally:
        supervisor.hurry.set()
        supervisor.shut_down()
    ours = [line for line in said if line.startswith(str(home))]
    assert ["cannot be written" in line for line in ours] == [True, False], ours
    assert "can be written again, after" in ours[1]


def test_a_supervisor_stops_its_children_on_a_disk_that_is_read_only(home: Path, said: list[str]) -> None:
    supervisor = Supervisor(home, said.append, StopEvent())
    child = supervisor.add(program(FOREVER))
    child.output.close()  # an open file keeps a file system writable
    until("read-only", lambda: os.system(f"mount -o remount,ro {home.parent}") == 0)  # noqa: S605
    supervisor.hurry.set()
    supervisor.shut_down()
    assert not child.alive
    assert [line for line in said if "Read-only file system" in line]
    remount(home.parent, "rw")
    leftovers.forget(home)


def test_children_that_die_while_the_disk_is_full_are_not_given_up_and_start_at_once_afterwards(
    tmp_path: Path, said: list[str]
) -> None:
    (tmp_path / "run").mkdir()
    refusals: list[str | None] = ["No space left on device"]
    supervisor = Supervisor(tmp_path, said.append, StopEvent())
    supervisor.disk = DiskWatch(tmp_path, said.append, lambda folder: refusals[0])
    supervisor.disk.look(time.monotonic())
    child = supervisor.add(program("raise SystemExit('no room')"))
    for _ in range(8):
        assert child.process
        child.process.wait(20)
        supervisor.tick()
        assert child.process is None and child.due
        child.hasten(0)
        supervisor.tick()
    assert child.process
    child.process.wait(20)
    supervisor.tick()
    assert child.due and child.due > time.monotonic() + PATIENT_DELAY_S - 2
    refusals[0] = None
    until("it is started", lambda: supervisor.tick() or child.process, CHECK_AGAIN_S + 3)
    supervisor.hurry.set()
    supervisor.shut_down()


def test_what_is_said_is_lost_but_not_the_voice_while_the_terminals_file_takes_nothing() -> None:
    heard, trouble = [], [OSError(errno.ENOSPC, "No space left on device")]

    def show(line: str) -> None:
        if trouble:
            raise trouble.pop()
        heard.append(line)

    launch = Launch(show)
    launch.say("lost")
    launch.say("heard")
    trouble.append(OSError(errno.EPIPE, "Broken pipe"))
    launch.say("nobody listens")
    launch.say("any more")
    assert heard == ["heard"]


def test_a_process_counts_in_files_that_it_has_and_otherwise_says_why_it_cannot(home: Path) -> None:
    with full(home.parent):
        reason = share_counters(home / "metrics")
    assert reason and "No space left on device" in reason
    assert not list((home / "metrics").glob("*.db")), "half a file would kill who counts in it"


@pytest.mark.parametrize(
    ("code", "words", "is_away"),
    [
        ("53100", "could not extend file: No space left on device", True),
        ("58030", "could not write file: Input/output error", True),
        ("42501", "could not open file: Read-only file system", True),
        ("XX000", "could not write block 7: Disk quota exceeded", True),
        ("42501", "permission denied for table tick", False),
        ("XX000", "cache lookup failed", False),
    ],
)
@pytest.mark.django_db
def test_a_database_whose_disk_takes_nothing_is_away(
    django_db_setup: None, settings: object, code: str, words: str, is_away: bool
) -> None:
    from django.conf import settings as current

    block = f"do $$ begin raise exception using errcode = '{code}', message = '{words}'; end $$"
    with (
        WatchedConnection.connect(current.DATABASE_URL, autocommit=True) as link,
        pytest.raises(psycopg.Error) as error,
    ):
        link.execute(block)
    assert isinstance(error.value, psycopg.OperationalError) == is_away
