"""Celery's beat as the platform starts it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from celery import beat
from celery.apps.beat import Beat
from django.db import connections

from config.celery import app


@pytest.fixture(autouse=True)
def kept_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    default = connections.settings["default"]
    monkeypatch.setitem(default, "CONN_MAX_AGE", default["CONN_MAX_AGE"])
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


class Scheduler(beat.Scheduler):
    """One whose tick is interrupted, and which can store nothing meanwhile, as a connection in use cannot."""

    in_use = False
    stored = 0

    def tick(self, *args: object, **kwargs: object) -> float:
        self.in_use = True
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            self.in_use = False
        return 0.0

    def close(self) -> None:
        assert not self.in_use
        self.stored += 1


def test_a_signal_in_the_middle_of_a_statement_ends_beat_which_then_stores_its_schedule() -> None:
    service = beat.Service(app, scheduler_cls=Scheduler)
    Beat(app=app, quiet=True).install_sync_handler(service)
    service.start()
    scheduler = service.scheduler
    assert isinstance(scheduler, Scheduler) and scheduler.stored == 1
