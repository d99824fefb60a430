"""A real Coordinator process, killed with a topic in hand: the next process goes on with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db.models.functions import Now
from django_redis import get_redis_connection

from actor_runtime.models import TransitionLog
from coordination.models import Coordinator
from datastore.models import DynamicTopic, Stream
from datastore.streams import lifecycle
from streaming.broker_factory import connect
from tests.support.coordination.topic_actors import (
    ACTIVE,
    NOTIFYING,
    PROCESSING,
    acknowledge,
    end_parts,
    state_of,
    stream,
)
from tests.support.database import database_url
from tests.support.polling import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

Start = Callable[[], subprocess.Popen[bytes]]
PATIENCE = 60.0  # seconds, on a busy machine


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    get_redis_connection("default").flushall()
    env = os.environ | {"DATABASE_URL": database_url()}
    children: list[subprocess.Popen[bytes]] = []
    with (tmp_path / "log").open("wb") as log:

        def starting() -> subprocess.Popen[bytes]:
            argv = [sys.executable, "manage.py", "run_coordinator"]
            children.append(subprocess.Popen(argv, cwd=settings.BASE_DIR, env=env, stdout=log, stderr=log))
            return children[-1]

        yield starting
        for child in children:
            child.kill()
            child.wait(timeout=20)
    get_redis_connection("default").flushall()


def reached(state: str) -> Any:
    return until(f"the Coordinator is in {state}", lambda: Coordinator.objects.filter(state=state).first(), PATIENCE)


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=20)


def create() -> None:
    """A Producer makes the topic in hand at the broker that the process uses."""
    topic = DynamicTopic.objects.get(state="creating")
    connect(settings.STREAM_URL, settings.STREAM_MAXLEN).admin().create_topic(topic.name)
    DynamicTopic.objects.filter(pk=topic.pk).update(created_at=Now(), creator="producer-topic-1")


@pytest.mark.parametrize("state", [PROCESSING, NOTIFYING])
def test_a_stream_becomes_live_and_ends_although_its_coordinator_is_killed(start: Start, state: str) -> None:
    made, first = stream(), start()
    reached(PROCESSING)
    if state == NOTIFYING:
        create()
        reached(NOTIFYING)
    kill(first)
    start()
    until("taken over", lambda: TransitionLog.objects.filter(event="TAKEOVER").exists(), PATIENCE)
    reached(state)
    if state == PROCESSING:
        create()
    reached(NOTIFYING)
    acknowledge()
    until("live", lambda: state_of(made) == "live", PATIENCE)
    assert Coordinator.objects.get().state == ACTIVE
    assert (DynamicTopic.objects.get().state, Stream.objects.get().attempts) == ("live", 0)
    lifecycle.end(made.pk, by="key a")
    until("retiring", lambda: DynamicTopic.objects.get().state == "retiring", PATIENCE)
    end_parts()
    until("deleted", lambda: DynamicTopic.objects.get().state == "retired", PATIENCE)
    assert DynamicTopic.objects.get().name not in connect(settings.STREAM_URL, 1000).admin().topics()
