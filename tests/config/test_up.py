"""`manage.py up` from end to end: a folder of its own, real servers, real children."""

from __future__ import annotations

import json
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from config.supervision.servers import eviction_policy
from tests.support.config.up import PATIENCE, SharedUp, Up, gone
from tests.support.valkey import private_valkey

pytestmark = pytest.mark.e2e
CELERY = ("--app config.celery --quiet worker", "--app config.celery --quiet beat")
HOURS = "select count(*) from provider_candle where resolution = 3600"
# As if the hours had never been fetched.
FORGET_HOURS = """
delete from provider_candle where resolution = 3600;
delete from coverage where source = 'provider' and resolution = 3600;
"""
# Nobody but the schedule, now every second, looks for them.
SCHEDULE_ONLY = """
insert into django_celery_beat_intervalschedule (every, period) values (1, 'seconds');
update django_celery_beat_periodictask set enabled = false where task = 'datastore.scan_gaps';
update django_celery_beat_periodictask
   set crontab_id = null, interval_id = (select id from django_celery_beat_intervalschedule where every = 1)
 where task = 'coordination.refresh';
update django_celery_beat_periodictasks set last_update = now();
"""
SCHEDULED = """
select worker, dispatched, pages_done from fetch_request
 where id > %s and resolution = 3600 and purpose = 2 and state = 'done'
"""


def test_one_command_starts_everything_and_ctrl_c_leaves_no_process(start: Callable[..., Up], home: Path) -> None:
    up = start()
    up.until_ready()
    assert "SIMULATED DATA" in up.text() and "uvicorn.access" not in up.text(), "no line for each request"
    assert up.text().count("admin user made") == 1

    kept = home / "run" / "admin.password"
    assert kept.stat().st_mode & 0o777 == 0o600 and str(kept) in up.text(), "no terminal, so it is in a file"
    secrets = [
        (home / "run" / name).read_text().strip() for name in ("admin.password", "valkey.password", "secret.key")
    ]
    arguments = [argument for process in up.family() for argument in process.cmdline()]
    printed = [up.text(), *(path.read_text() for path in (home / "log").iterdir())]
    assert not [secret for secret in secrets for text in (*arguments, *printed) if secret in text]

    health: dict[str, Any] = up.get("/health/ready").json()
    assert health["status"] == "ready" and health["simulated"] is True
    assert health["provider"].startswith("simulator/")

    assert (home / "run" / "servers.json").stat().st_mode & 0o777 == 0o600
    status = up.manage("status")
    assert status.returncode == 0, status.stderr
    assert "producer-live-1" in status.stdout and "fixed-tick-1" in status.stdout

    # Counted by the consumer, told by the web process.
    up.until(lambda: "candlekeep_trades_stored_total{" in up.get("/metrics").text)
    counting = sorted((home / "run" / "metrics").glob("counter_*"))
    assert len(counting) >= 6, "one for each process that goes on"
    assert up.manage("status").returncode == 0
    assert sorted((home / "run" / "metrics").glob("counter_*")) == counting, "a command that runs once leaves no file"

    second = up.manage("up")
    assert second.returncode == 1 and f"already runs in {home} (process {up.process.pid})" in second.stderr

    family = up.family()
    assert len({name for process in family if (name := process.name())}) > 2
    assert up.end() == 0
    assert gone(family)
    assert not (home / "run" / "servers.json").exists() and not (home / "run" / "children.json").exists()
    assert up.manage("status").returncode == 1


def test_servers_and_actors_that_are_killed_come_back(shared: SharedUp) -> None:
    up = shared.running()
    ours = (
        "granian",
        "candlekeep fixed-consumer",
        "candlekeep dynamic-consumer",
        "candlekeep coordinator",
        "config.celery --quiet worker",
        "config.celery --quiet beat",
    )
    up.until(lambda: all(up.child(mark) for mark in ours))
    # The servers last: a process that notices a dead database first may end by itself instead.
    for mark in (*reversed(ours), "valkey-server", "pginstall18/bin/postgres"):
        child = up.child(mark)
        assert child, mark
        child.kill()
    up.until(lambda: up.text().count("was killed by SIGKILL; starting it again") == 8)
    up.until(lambda: _ready(up))
    up.until(lambda: all(up.child(mark) for mark in ours))
    family = up.family()
    assert up.end() == 0
    assert gone(family)


def _ready(up: Up) -> bool:
    try:
        return up.get("/health/ready").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its starter died")
def test_a_killed_start_takes_its_children_along_and_the_next_one_goes_on(shared: SharedUp) -> None:
    up = shared.running()
    family = up.family()
    up.process.kill()
    up.process.wait()
    assert gone(family)
    assert shared.running().process.pid != up.process.pid


def test_data_of_one_provider_is_not_continued_with_another(shared: SharedUp) -> None:
    up = shared.running()
    family = up.family()
    assert up.end(signal.SIGTERM) == 0
    assert gone(family)
    other = Up(shared.home, SIMULATOR_ARGS="--seed 6")
    assert other.process.wait(PATIENCE) == 1
    assert "holds data of 'simulator/seed=5'" in other.text() and "Set CANDLEKEEP_HOME" in other.text()
    assert "Traceback" not in other.text()


def test_a_schedule_brings_history_all_the_way_and_worker_and_beat_outlive_their_broker(shared: SharedUp) -> None:
    up = shared.running()
    servers = json.loads((up.home / "run" / "servers.json").read_text())
    with psycopg.connect(servers["database_url"], autocommit=True) as database:

        def value(statement: str) -> Any:
            row = database.execute(statement).fetchone()
            return row and row[0]

        up.until(lambda: value(HOURS) > 1400)  # asked for at the start, nobody had to
        celery = [up.child(mark) for mark in CELERY]
        valkey = up.child("valkey-server")
        assert all(celery) and valkey
        valkey.kill()
        up.until(lambda: "valkey was killed by SIGKILL" in up.text())
        newest = value("select max(id) from fetch_request")
        database.execute(SCHEDULE_ONLY + FORGET_HOURS)

        def brought() -> bool:
            if value(HOURS) <= 1400:
                return False
            if database.execute(SCHEDULED, [newest]).fetchone():
                return True
            database.execute(FORGET_HOURS)  # a scan for gaps that had begun by then has brought them
            return False

        up.until(brought)
        worker, dispatched, pages = database.execute(SCHEDULED, [newest]).fetchone() or ("", 0, 0)
        assert worker.startswith("producer-history-") and (dispatched, pages) == (1, 1)
        assert [up.child(mark) for mark in CELERY] == celery
    family = up.family()
    assert up.end() == 0
    assert gone(family)
    assert "does not stop" not in up.text() and "Traceback" not in up.text()


def test_a_taken_port_is_named_before_anything_starts(home: Path, start: Callable[..., Up]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        up = start(PORT=str(taken.getsockname()[1]))
        assert up.process.wait(PATIENCE) == 1
    assert "is taken by another program. Set PORT to another one." in up.text()
    assert not (home / "postgres").exists()


@pytest.mark.usefixtures("prepared")
def test_a_simulator_that_cannot_start_ends_the_start_with_its_last_words(start: Callable[..., Up]) -> None:
    up = start(SIMULATOR_ARGS="--speed 99")
    assert up.process.wait(PATIENCE) == 1
    assert "simulator exited with 2, 5 times in a row. Its last lines:" in up.text()
    assert "--speed" in up.text().rpartition("Its last lines:")[2]


@pytest.mark.usefixtures("prepared")
def test_a_stream_that_does_not_answer_is_named_while_it_is_waited_for(start: Callable[..., Up]) -> None:
    up = start(STREAM_URL="kafka://127.0.0.1:1")
    up.until(lambda: "waiting for STREAM_URL: kafka://127.0.0.1:1 does not answer" in up.text())
    family = up.family()
    assert up.end() == 0
    assert gone(family)


@pytest.mark.usefixtures("prepared")
def test_a_server_that_throws_records_away_when_it_is_full_is_refused_with_the_fix(start: Callable[..., Up]) -> None:
    with private_valkey() as valkey:
        valkey.configure(maxmemory="100mb", maxmemory_policy="allkeys-lru")
        up = start(REDIS_URL=valkey.url)
        assert up.process.wait(PATIENCE) == 1
    assert "The server of REDIS_URL has maxmemory-policy allkeys-lru. Set it to noeviction" in up.text()
    assert "Traceback" not in up.text() and valkey.url not in up.text()


@pytest.mark.slow
def test_only_a_policy_that_will_be_used_is_an_eviction() -> None:
    with private_valkey() as valkey:
        valkey.configure(maxmemory="100mb", maxmemory_policy="volatile-lru")
        assert eviction_policy(valkey.url) == "volatile-lru"
        valkey.configure(maxmemory=0)
        assert eviction_policy(valkey.url) is None
        valkey.configure(maxmemory="100mb", maxmemory_policy="noeviction")
        assert eviction_policy(valkey.url) is None
