"""A process that finds what it needs held by another tries again, and lets writers pass meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import OperationalError
from structlog.testing import capture_logs

from datastore.db.queries import execute, fetch_value
from datastore.engines.timescale import TimescaleEngine, retry_while_locked
from datastore.models import Market
from tests.support.datastore.records import moment, store, trade
from tests.support.polling import until
from tests.support.timescale.feed import BEGIN, DAY, END, HOUR
from tests.support.timescale.parity_log import verified
from tests.support.timescale.server import admin

WAITERS = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like %s"
REFRESH = "call refresh_continuous_aggregate('aggregate_1m', %s::timestamptz, %s::timestamptz, force => true)"


@contextmanager
def held_until_tried(name: str, statement: str) -> Iterator[list[Any]]:
    """Hold what a statement locks, in a session of its own, until someone has tried for it in vain."""
    with capture_logs() as logs, admin(name) as link, ThreadPoolExecutor(1) as pool:
        link.execute("begin")
        link.execute(statement)

        def let_go() -> None:
            try:
                until("a try in vain", lambda: tries(logs), 60)
            finally:
                link.execute("rollback")

        letting_go = pool.submit(let_go)
        yield logs
        letting_go.result()


def tries(logs: list[Any]) -> list[Any]:
    return [entry for entry in logs if entry["event"] == "held by another, trying again"]


def refresh_elsewhere(name: str) -> None:
    with admin(name) as link:
        link.execute(REFRESH, [moment(BEGIN), moment(BEGIN + DAY)])


def test_a_refresh_that_meets_another_tries_again(market: Market, name: str) -> None:
    store(trade(9001, BEGIN + HOUR))
    lock = "lock table tick in access exclusive mode"
    with held_until_tried(name, lock) as logs, ThreadPoolExecutor(1) as pool:
        other = pool.submit(refresh_elsewhere, name)
        until("the other refresh waits", lambda: fetch_value(WAITERS, ["%call refresh%"]), 60)
        TimescaleEngine().refresh()
        other.result()
        assert tries(logs)
    assert verified()[1]


def test_retention_that_meets_a_reader_does_not_stand_before_the_writers_and_tries_again(
    market: Market, name: str
) -> None:
    with held_until_tried(name, "select count(*) from tick") as logs:
        assert TimescaleEngine().delete_old_trades(moment(END), 1)
        assert tries(logs)


def test_what_fails_for_another_reason_is_not_tried_again(market: Market) -> None:
    with capture_logs() as logs, pytest.raises(OperationalError, match="statement timeout"):
        execute("set statement_timeout = 50")
        retry_while_locked(lambda: execute("select pg_sleep(30)"))
    assert not tries(logs)
