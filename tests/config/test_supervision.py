"""Children are started, watched, restarted and stopped; real processes, the clock is given."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import psutil
import pytest

from actor_runtime.stop_event import StopEvent
from config.supervision import leftovers
from config.supervision.child import STEADY_AFTER_S, Child, Program, exit_text
from config.supervision.errors import CrashLoop, StartCancelled
from config.supervision.output import Output
from config.supervision.supervisor import Supervisor
from config.supervision.web import WebServer
from tests.support.config.children import FOREVER, STUBBORN, program
from tests.support.polling import until

pytestmark = pytest.mark.slow


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, said: list[str]) -> Iterator[Supervisor]:
    made = Supervisor(tmp_path, said.append, StopEvent())
    yield made
    made.hurry.set()
    made.shut_down()


def lone(tmp_path: Path, code: str) -> Child:
    return Child(program(code), Output("child", tmp_path / "child.log", None))


def die(child: Child) -> None:
    assert child.process
    child.process.wait(20)


def test_a_child_that_dies_fast_is_restarted_at_once_then_after_1_2_4_seconds_and_given_up_at_the_fifth_death(
    tmp_path: Path,
) -> None:
    child = lone(tmp_path, "import sys; sys.exit('no such table')")
    child.start()
    now, delays = time.monotonic(), []
    with pytest.raises(CrashLoop, match=r"child exited with 1, 5 times in a row[^\n]*\n  no such table"):
        while True:
            die(child)
            child.watch(now)
            assert child.due
            delays.append(child.due - now)
            assert child.watch(child.due - 0.01) is None and child.process is None, "not before its time"
            now = child.due
            child.watch(now)
            child.started = now
    assert delays == pytest.approx([0, 1, 2, 4])
    child.output.close()


def test_a_child_that_ran_well_once_is_restarted_for_ever_and_never_later_than_30_seconds(tmp_path: Path) -> None:
    child = lone(tmp_path, "pass")
    child.start()
    die(child)
    sentence = child.watch(child.started + STEADY_AFTER_S + 0.1)  # a sum of exactly STEADY may round to less
    assert sentence == "child exited with 0; starting it again"
    delays = []
    for _ in range(8):
        assert child.due
        now = child.due
        child.start()
        die(child)
        child.started = now
        child.watch(now + 0.5)
        delays.append(child.due - now - 0.5)
    assert delays == pytest.approx([1, 2, 4, 8, 16, 30, 30, 30])
    child.output.close()


def test_what_a_killed_child_left_in_its_group_is_killed_before_its_restart(supervisor: Supervisor) -> None:
    code = f"""if True:
        import subprocess, sys
        worker = subprocess.Popen([sys.executable, '-c', {FOREVER!r}])
        print(worker.pid, flush=True)
        worker.wait()
    """
    child = supervisor.add(program(code))
    until("both have spoken", lambda: len(child.output.last) == 2)
    worker = psutil.Process(int(next(line for line in child.output.last if line.isdigit())))
    assert child.process
    os.kill(child.process.pid, signal.SIGKILL)
    die(child)
    supervisor.tick()
    until("the worker is gone", lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)


def test_lines_are_prefixed_on_the_terminal_and_whole_in_the_log_file(
    supervisor: Supervisor, said: list[str], tmp_path: Path
) -> None:
    supervisor.add(program("print('stored 5 trades'); print('x' * 300_000)", "fixed-consumer"))
    until("both lines are said", lambda: len(said) >= 4)
    assert said[0] == "fixed-consumer | stored 5 trades"
    assert (tmp_path / "log" / "fixed-consumer.log").read_text().startswith("stored 5 trades\nxxx")


def test_a_quiet_program_speaks_to_its_log_file_only(supervisor: Supervisor, said: list[str], tmp_path: Path) -> None:
    child = supervisor.add(program(FOREVER, "postgres", quiet=True))
    until("a line", lambda: child.output.last)
    assert said == []
    assert (tmp_path / "log" / "postgres.log").read_text() == "ready\n"


def test_a_log_file_is_rotated_by_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("config.supervision.output.MAX_LOG_BYTES", 1000)
    output = Output("chatty", tmp_path / "chatty.log", None)
    for number in range(200):
        output.line(f"line {number} of many")
    output.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "chatty.log",
        "chatty.log.1",
        "chatty.log.2",
        "chatty.log.3",
    ]


def test_stages_stop_in_the_opposite_order_of_their_start(supervisor: Supervisor, said: list[str]) -> None:
    code = "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(print('bye', flush=True)))\n"
    for stage, name in enumerate(("database", "web", "actor")):
        supervisor.add(program(code + FOREVER, name, stage=stage))
    until("all three are ready", lambda: len(said) == 3)
    supervisor.shut_down()
    assert [line.split()[0] for line in said[3:]] == ["actor", "web", "database"]
    assert not any(child.alive for child in supervisor.children)


def test_a_child_that_does_not_stop_in_time_is_killed_and_named(supervisor: Supervisor, said: list[str]) -> None:
    child = supervisor.add(program(STUBBORN, stop_seconds=0.2))
    until("it is ready", lambda: said)
    supervisor.shut_down()
    assert "child does not stop: killing it" in said
    assert child.process and child.process.returncode == -signal.SIGKILL


def test_a_second_ctrl_c_kills_without_waiting(supervisor: Supervisor, said: list[str]) -> None:
    supervisor.add(program(STUBBORN, stop_seconds=600))
    until("it is ready", lambda: said)
    supervisor.on_signal(signal.SIGINT, None)
    supervisor.on_signal(signal.SIGINT, None)
    began = time.monotonic()
    supervisor.shut_down()
    assert time.monotonic() - began < 10


def test_a_stop_during_the_start_ends_the_waiting(supervisor: Supervisor) -> None:
    supervisor.on_signal(signal.SIGTERM, None)
    with pytest.raises(StartCancelled):
        supervisor.wait_for(lambda: False, 60)


def test_waiting_ends_when_a_child_is_given_up(supervisor: Supervisor) -> None:
    child = supervisor.add(program("raise SystemExit('broken')"))
    die(child)
    child.fast_exits = 4
    with pytest.raises(CrashLoop, match="broken"):
        supervisor.wait_for(lambda: False, 60)


def test_the_death_of_a_child_wakes_the_watch(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("config.supervision.supervisor.IDLE_TICK_S", 3600.0)
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        supervisor.stop.set()

    supervisor.say = say
    before = signal.signal(signal.SIGCHLD, supervisor.on_child)
    try:
        supervisor.add(program("import sys; sys.stdin.read()", quiet=True))
        supervisor.run()
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert said == ["child exited with 0; starting it again"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its starter died")
def test_children_die_with_a_starter_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from threading import Event\n"
        "from actor_runtime.stop_event import StopEvent\n"
        "from config.supervision.supervisor import Supervisor\n"
        "from tests.support.config.children import FOREVER, program\n"
        "from tests.support.polling import until\n"
        "s = Supervisor(Path(sys.argv[1]), str, StopEvent()); c = s.add(program(FOREVER))\n"
        "until('a line', lambda: c.output.last); print(c.process.pid, flush=True); Event().wait(600)\n"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    assert starter.stdout
    numbers = (line for line in starter.stdout if line.strip().isdigit())
    child = psutil.Process(int(next(numbers)))
    starter.kill()
    starter.communicate()
    until("the child is gone", lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_the_web_process_takes_one_stop_signal_however_many_are_sent() -> None:
    server = WebServer.__new__(WebServer)
    server.main_loop_interrupt = Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        server.signal_handler_interrupt()
        assert server.main_loop_interrupt.is_set()
        assert {signal.getsignal(number) for number in before} == {signal.SIG_IGN}
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.fixture
def forking(supervisor: Supervisor, tmp_path: Path) -> Supervisor:
    """A supervisor whose fork server knows nothing of the folder of this test run's servers."""
    supervisor.fork_from({**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}, ["run_sse"])
    return supervisor


def forked(tmp_path: Path, code: str) -> Program:
    script = tmp_path / "forked.py"
    script.write_text(code)
    return Program("forked", (sys.executable, str(script), "one", "two"), {}, cwd=tmp_path, forked=True)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives us the children of a process that ended")
def test_a_forked_child_has_its_arguments_folder_title_output_and_ending(
    forking: Supervisor, said: list[str], tmp_path: Path
) -> None:
    code = "import os, sys\nprint(sys.argv[1:], os.getcwd(), 'django' in sys.modules, flush=True)\n" + FOREVER
    child = forking.add(forked(tmp_path, code))
    until("its line", lambda: said[:1] == [f"forked         | ['one', 'two'] {tmp_path} True"])
    assert child.process
    process = psutil.Process(child.process.pid)
    assert process.ppid() == os.getpid() and process.cmdline()[0] == "candlekeep forked"
    process.terminate()
    assert child.process.wait(20) == -signal.SIGTERM
    forking.tick()
    assert said[-1] == "forked was killed by SIGTERM; starting it again"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives us the children of a process that ended")
@pytest.mark.parametrize(
    ("ending", "status", "words"),
    [("", 0, "at exit"), ("sys.exit(3)", 3, "at exit"), ("sys.exit('no disk')", 1, "no disk"), ("1 / 0", 1, "at exit")],
)
def test_a_forked_child_ends_as_any_other_with_its_threads_its_last_words_and_its_status(
    forking: Supervisor, said: list[str], tmp_path: Path, ending: str, status: int, words: str
) -> None:
    code = (
        "import atexit, sys, threading, time\natexit.register(print, 'at exit')\n"
        "threading.Thread(target=lambda: (time.sleep(0.3), print('a thread'))).start()\n"
    )
    child = forking.add(forked(tmp_path, code + ending))
    assert child.process and child.process.wait(20) == status
    until("all is said", lambda: {"a thread", "at exit", words} <= {line.partition(" | ")[2] for line in said})


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives us the children of a process that ended")
def test_without_its_fork_server_a_child_is_started_by_itself_and_the_next_one_is_forked(
    forking: Supervisor, tmp_path: Path
) -> None:
    assert forking.fork_server and forking.fork_server.pid
    psutil.Process(forking.fork_server.pid).kill()
    alone, shared = (forking.add(forked(tmp_path, FOREVER)).process for _ in range(2))
    assert alone and shared
    assert "forked.py" in " ".join(psutil.Process(alone.pid).cmdline())
    until("a title", lambda: psutil.Process(shared.pid).cmdline()[0] == "candlekeep forked")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives us the children of a process that ended")
def test_an_orphan_that_became_ours_leaves_no_zombie(forking: Supervisor, said: list[str], tmp_path: Path) -> None:
    code = (
        "import os\nchild = os.fork()\nif child: print(child, flush=True)\nelse: os.execvp('sleep', ['sleep', '0.3'])"
    )
    forking.add(forked(tmp_path, code))
    until("its number", lambda: said)
    orphan = int(said[0].split()[-1])

    def buried() -> bool:
        forking.tick()
        return not psutil.pid_exists(orphan)

    until("it is buried", buried)


def test_what_a_killed_start_left_running_is_stopped_by_the_next_one(tmp_path: Path) -> None:
    left = subprocess.Popen([sys.executable, "-c", FOREVER], stdout=subprocess.PIPE)
    leftovers.note(tmp_path, [left.pid])
    name = psutil.Process(left.pid).name()
    assert leftovers.stop_leftovers(tmp_path) == [name]
    assert not psutil.pid_exists(left.pid)
    left.communicate()
    assert leftovers.stop_leftovers(tmp_path) == []


def test_a_number_that_belongs_to_somebody_else_by_now_is_left_alone(tmp_path: Path) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", FOREVER], stdout=subprocess.PIPE)
    leftovers.note(tmp_path, [stranger.pid])
    note = tmp_path / "run" / "children.json"
    note.write_text(json.dumps([[pid, created - 60] for pid, created in json.loads(note.read_text())]))
    assert leftovers.stop_leftovers(tmp_path) == []
    assert stranger.poll() is None
    stranger.kill()
    stranger.communicate()


@pytest.mark.parametrize(
    ("code", "words"), [(0, "exited with 0"), (3, "exited with 3"), (-9, "was killed by SIGKILL"), (-99, "signal 99")]
)
def test_an_ending_is_told_in_words(code: int, words: str) -> None:
    assert words in exit_text(code)
