"""Rows of requests for history, and a queue that nobody can reach."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery
from django.conf import settings

from datastore.models import FetchRequest, Market

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def request(market: Market, purpose: int = FetchRequest.Purpose.GAP, **values: Any) -> int:
    number = FetchRequest.objects.count()
    span = {"start": NOON + number * HOUR, "stop": NOON + (number + 1) * HOUR}
    return FetchRequest.objects.create(market=market, resolution=60, purpose=purpose, **{**span, **values}).pk


@contextmanager
def unreachable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Send tasks, inside the block, to a port where nobody listens."""
    nowhere = Celery("nowhere", broker="redis://127.0.0.1:1/0", set_as_current=False)
    nowhere.conf.broker_transport_options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
    with monkeypatch.context() as patch:
        patch.setattr("coordination.coordinator_actor.current_app", nowhere)
        yield
