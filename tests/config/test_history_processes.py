"""Worker, beat and Coordinator in a running `up`: history arrives on a schedule, whatever happens to their broker."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.support.config.up import Up, gone

CELERY = ("--app config.celery --quiet worker", "--app config.celery --quiet beat")
HOURS = "select count(*) from provider_candle where resolution = 3600"
# As if the hours had never been fetched, and nobody but the schedule, now every second, looked for them.
FORGET_HOURS = """
delete from provider_candle where resolution = 3600;
delete from coverage where source = 'provider' and resolution = 3600;
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


@pytest.mark.usefixtures("prepared")
def test_a_schedule_brings_history_all_the_way_and_worker_and_beat_outlive_their_broker(
    start: Callable[..., Up],
) -> None:
    up = start(MARKETS="coinbase:BTC-USD")
    up.until_ready()
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
        database.execute(FORGET_HOURS)
        up.until(lambda: value(HOURS) > 1400)
        up.until(lambda: database.execute(SCHEDULED, [newest]).fetchone())
        worker, dispatched, pages = database.execute(SCHEDULED, [newest]).fetchone() or ("", 0, 0)
        assert worker.startswith("producer-history-") and (dispatched, pages) == (1, 1)
        assert [up.child(mark) for mark in CELERY] == celery
    family = up.family()
    assert up.end() == 0
    assert gone(family)
    assert "does not stop" not in up.text() and "Traceback" not in up.text()
