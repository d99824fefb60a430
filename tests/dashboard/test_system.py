"""The page of the system: versions, queues, disk, memory, schedules, statements, settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as configured
from django.db import connection
from django.test import Client
from django.utils import timezone
from django_celery_beat.models import PeriodicTask
from redis.exceptions import ConnectionError as CacheAway

from actor_runtime.redaction import keep_secret
from config.monitoring import growth as growing
from config.monitoring.growth import DAY_S, Forecast, growth, growth_text
from coordination.schedules import SCHEDULES, ensure_schedules
from dashboard.system import configuration, disk, memory, servers, statements
from dashboard.system.memory import kind_of
from datastore.db.queries import fetch_value
from datastore.engines.edition import TimescaleEdition
from datastore.models import Market
from streaming.errors import StreamUnavailable
from tests.support.api.rows import Feed
from tests.support.dashboard.reading import XSS, XSS_SHOWN, shown
from tests.support.datastore.records import store

pytestmark = pytest.mark.django_db
SIZES = {"tick": (1_000_000, 200_000_000), "candle": (10_000, 1_000_000)}


def test_the_page_shows_servers_queues_tables_and_links(client: Client, market: Market) -> None:
    page = shown(client, "/system")
    for words in ("PostgreSQL", "plain PostgreSQL", "Python", configured.VERSION, "tick-data", "candle-data", "Celery"):
        assert words in page
    for address in ("/metrics", "/health/ready", "/health/fresh"):
        assert f'href="{address}"' in page
    assert "There are no schedules yet" in page


def test_what_cannot_be_known_is_said_to_be_unknown(client: Client, staff: Client, market: Market) -> None:
    page = shown(staff, "/system")
    assert "Less than a quarter of an hour of trades" in page  # no forecast
    assert "runs in this folder" in page  # no memory
    assert "pg_stat_statements is not in this database" in page


def test_a_queue_whose_server_is_away_is_unknown_with_the_reason(
    client: Client, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> Any:
        raise StreamUnavailable("the broker is away")

    monkeypatch.setattr(servers, "unread_records", away)
    assert "the broker is away" in shown(client, "/system")


def test_a_cache_that_is_away_leaves_the_rest_of_the_page(
    client: Client, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> Any:
        raise CacheAway("refused")

    monkeypatch.setattr(servers, "ask_counters", away)
    page = shown(client, "/system")
    assert "It does not answer" in page
    assert "Largest tables" in page


def test_schedules_have_a_last_and_a_next_run(client: Client, market: Market) -> None:
    ensure_schedules()
    PeriodicTask.objects.filter(name="Gap scan").update(enabled=False)
    page = shown(client, "/system")
    for schedule in SCHEDULES:
        assert schedule.name in page
    for words in ("each day at 03:20 UTC", "each hour at minute 27", "every 10 s", ">off</span>"):
        assert words in page


def test_growth_is_what_arrived_times_what_a_stored_trade_takes(settings: Any) -> None:
    settings.TICK_RETENTION_DAYS = 30
    found = growth(50_000, 720, DAY_S / 2, SIZES, free=10_000_000_000)
    assert (found.trades_per_day, found.bytes_per_trade) == (100_000, 200)
    assert found.per_day == 100_000 * 200 + 1440 * 100
    assert (found.level, found.full_in_days) == (600_000_000, None)
    small = growth(50_000, 720, DAY_S / 2, SIZES, free=200_000_000)
    assert small.full_in_days == pytest.approx(200_000_000 / found.per_day)


def test_the_forecast_in_words_says_when_trades_level_off_or_the_disk_is_full(settings: Any) -> None:
    settings.TICK_RETENTION_DAYS = 30
    free = 10_000_000_000
    text = growth_text(growth(50_000, 720, DAY_S / 2, SIZES, free, kept_s=9 * DAY_S), free)
    assert text == "20.1 MB a day, 200 B for each trade; trades level off at 600 MB in 21 days"
    assert growth_text(growth(50_000, 720, DAY_S / 2, SIZES, free, kept_s=31 * DAY_S), free).endswith("600 MB now")
    away = growth_text(growth(50_000, 720, DAY_S / 2, SIZES, None, kept_s=9 * DAY_S), None)
    assert away.endswith("in 21 days; the database's disk is not seen from here")
    free = 200_000_000
    assert growth_text(growth(50_000, 720, DAY_S / 2, SIZES, free), free).endswith("; the disk is full in 10 days")


def test_what_is_not_known_yet_is_not_made_up() -> None:
    text = growth_text(growth(10, 5, 60.0, SIZES, None), None)
    assert text == "not known yet. Less than a quarter of an hour of trades has arrived within the last day."


def test_without_enough_to_go_by_there_is_no_forecast() -> None:
    assert growth(10, 5, 60.0, SIZES, None).unknown
    assert growth(0, 0, None, SIZES, None).unknown
    assert growth(50_000, 720, 3600.0, {**SIZES, "tick": (-1, 8192)}, None).unknown
    assert growth(50_000, 720, 3600.0, SIZES, None) != Forecast()


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("candlekeep fixed-consumer", "fixed-consumer"),
        (".venv/bin/python manage.py up", "up"),
        ("[celeryd: celery@vm:MainProcess] -active- (--app config.celery)", "worker"),
        ("[celery beat] --app config.celery", "beat"),
        ("granian wsgi 127.0.0.1:8000 config.wsgi:application worker-1", "web"),
        ("postgres: walwriter", "PostgreSQL"),
        ("/usr/bin/java -Xmx1G kafka.Kafka", "java"),
    ],
)
def test_a_process_is_named_for_people(command: str, kind: str) -> None:
    assert kind_of(command) == kind


def test_memory_is_that_of_the_processes_of_this_up(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CANDLEKEEP_HOME = tmp_path
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "lock").write_text(str(os.getpid()))
    monkeypatch.setattr(memory, "is_locked", lambda _: True)
    found = memory.memory()
    assert not found.unknown
    assert found.total > 10_000_000


def test_settings_are_for_staff_and_without_secrets(
    client: Client, staff: Client, market: Market, settings: Any
) -> None:
    keep_secret(["hunter2-hunter2"])
    settings.CRYPTOCOMPARE_API_KEY = "abc"
    settings.STREAM_URL = "redis://:pass@10.0.0.1:6379/0?password=hunter2-hunter2"
    found = dict(configuration.shown_settings())
    assert found["CRYPTOCOMPARE_API_KEY"] == found["SECRET_KEY"] == "set, not shown"
    assert "pass@" not in found["STREAM_URL"]
    assert "hunter2" not in found["STREAM_URL"]
    assert found["RATE_LIMIT_PER_KEY"].isdecimal()
    assert found["REQUIRE_API_KEY"] == "off"
    settings.STREAM_URL = settings.REDIS_URL
    assert "TICK_RETENTION_DAYS" in shown(staff, "/system")
    page = shown(client, "/system")
    assert "TICK_RETENTION_DAYS</dt>" not in page
    assert str(configured.CANDLEKEEP_HOME) not in page


def test_a_statement_that_runs_for_long_is_shown_as_text(
    staff: Client, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = statements.Running(timezone.now(), "psql", XSS)
    monkeypatch.setattr(statements, "statements", lambda: statements.Statements([running], [], "no statistics"))
    page = shown(staff, "/system")
    assert XSS not in page
    assert XSS_SHOWN in page


def test_the_statements_are_as_many_for_many_markets(staff: Client, market: Market, count_statements: Any) -> None:
    few = count_statements(staff, "/system")
    for other in Market.objects.all():
        feed = Feed(other.symbol, f"tick-data/{other.pk}")
        store(feed.opened(), feed.trade(1, "100"))
    ensure_schedules()
    assert count_statements(staff, "/system") == few


def test_with_timescaledb_its_version_is_shown_and_chunks_are_counted_with_their_table(
    client: Client, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("create table _hyper_1_1_chunk () inherits (tick)")
        cursor.execute("insert into _hyper_1_1_chunk select * from tick")
        cursor.execute("analyze _hyper_1_1_chunk")
    monkeypatch.setattr(disk, "MAX_TABLES", 1000)
    found = {table.name: table.size for table in disk.tables()}
    both = fetch_value("select pg_total_relation_size('tick') + pg_total_relation_size('_hyper_1_1_chunk')")
    assert found["tick"] == both and "_hyper_1_1_chunk" not in found
    for module in (servers, growing):
        monkeypatch.setattr(module, "timescale_edition", lambda: TimescaleEdition(True, True, "timescale", "2.28.1"))
    page = shown(client, "/system")
    assert "TimescaleDB 2.28.1: hypertable, columnstore and continuous aggregates" in page
    assert "TimescaleDB packs trades after a day" in page and "_hyper_1_1_chunk" not in page
