from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection

from actor_runtime.models import TransitionLog
from actor_runtime.ownership.claims import claim
from actor_runtime.ownership.process_identity import this_process
from consumers.models import FixedTopicConsumer
from tests.support import forked_python
from tests.support.actor_runtime.process import WINS_EACH
from tests.support.actor_runtime.work import logged
from tests.support.forked_python import ForkedPython
from tests.support.polling import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
Start = Callable[..., ForkedPython]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start tests.support.actor_runtime.process with the test's database; kill what is left."""
    there = connection.settings_dict
    url = f"postgresql://{there['USER']}@/{there['NAME']}?host={there['HOST']}"
    env = os.environ | {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "config.settings", "LOG_LEVEL": "ERROR"}
    log = (tmp_path / "log").open("ab")  # a pipe that nobody reads would fill up and stop the process
    children: list[ForkedPython] = []

    def starting(*args: str) -> ForkedPython:
        children.append(forked_python.start("-m", "tests.support.actor_runtime.process", *args, env=env, stderr=log))
        return children[-1]

    yield starting
    for child in children:
        child.kill()
        child.wait()
        assert child.stdout
        child.stdout.close()
    log.close()


def test_eight_processes_race_for_one_actor_and_never_two_hold_it(start: Start, tmp_path: Path) -> None:
    FixedTopicConsumer.objects.create(role="race", name="race-1")
    racers = start("races", "400")
    assert racers.stdout
    out = racers.stdout.read()
    assert racers.wait(150) == 0, (tmp_path / "log").read_text()[-2000:]
    wins = [int(line) for line in out.splitlines()]
    assert len(wins) == 8
    epoch = FixedTopicConsumer.objects.get().epoch
    assert sum(wins) == epoch >= 400
    assert min(wins) >= WINS_EACH
    # Every claim but the first found the row in Processing Message, and ended that through the chart.
    ends = TransitionLog.objects.filter(event="PROCESS_FAILURE", reason="abandoned in Processing Message")
    assert ends.count() == TransitionLog.objects.filter(event="RESET").count() == epoch - 1


def test_a_killed_process_is_recovered_at_once_by_the_next(start: Start) -> None:
    child = start("work", "60")
    assert child.stdout is not None and child.stdout.readline().startswith("writing")
    assert claim(FixedTopicConsumer, "fixed-tick", this_process()) is None
    child.kill()
    taken = until("its row is claimed", lambda: claim(FixedTopicConsumer, "fixed-tick", this_process()), 10)
    assert taken.state == "idle"
    assert logged("event")[-3:] == [("TAKEOVER",), ("WRITE_FAILURE",), ("RESET",)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_process_finishes_its_turn_and_gives_its_row_back(start: Start, number: signal.Signals) -> None:
    child = start("work", "1")
    assert child.stdout is not None and child.stdout.readline().startswith("writing")
    child.send_signal(number)
    child.wait(20)
    row = FixedTopicConsumer.objects.get()
    assert (child.returncode, row.state, row.owner) == (0, "idle", "")
    assert ("UPDATE_CACHE_SUCCESS",) in logged("event")
